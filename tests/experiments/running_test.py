"""A run that was stopped goes on; its result is that of one that was not."""

import dataclasses
import json
from pathlib import Path

import pytest
import tiny
from experiments import experiment_toys
from PIL import Image
from shrinking import shrinking

from glide_jax.commands.train import train
from glide_jax.data.shapes import builder
from glide_jax.errors import UserError
from glide_jax.experiments.claim import SHARED, Arm, Trained
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.plotting import write_plot
from glide_jax.experiments.registry import find_claim
from glide_jax.experiments.running import Callbacks, Place, check_trained, run_claim, train_own
from glide_jax.experiments.tables import table
from glide_jax.experiments.verdict import Difference
from glide_jax.sampling.pipeline import Pipeline

STEPS = {"sampler": "ddim", "steps": "2"}


def small(rows=6, seeds=(1, 2)):
    """Two arms of the claim on guidance, by two steps."""
    claim = find_claim("guidance")
    arms = tuple(
        dataclasses.replace(
            arm,
            measure=dataclasses.replace(arm.measure, settings=arm.measure.settings | STEPS),
        )
        for arm in claim.arms[:2]
    )
    compared = (Difference("respects", arms[1].name, arms[0].name),)
    return dataclasses.replace(
        claim, arms=arms, comparisons=compared, rows=rows, seeds=seeds, elo_by="respects"
    )


@pytest.fixture
def counted(monkeypatch):
    """How many images were sampled."""
    sampled, whole = [], Pipeline.sample_indices

    def sample_indices(self, subjects, indices, **rest):
        sampled.extend(indices)
        return whole(self, subjects, indices, **rest)

    monkeypatch.setattr(Pipeline, "sample_indices", sample_indices)
    return sampled


def without_time(result):
    return {key: value for key, value in result.items() if key != "seconds"}


@pytest.mark.newest
def test_a_run_that_was_killed_goes_on(tmp_path, counted):
    done = []

    def stop_at_the_third(one):
        done.append((one.arm, one.seed, one.done, one.total))
        if one.done == 3:
            raise KeyboardInterrupt

    with experiment_toys.toy_models():
        expected = experiment_toys.run(small(), tmp_path / "at once")
        at_once = len(counted)
        counted.clear()
        with pytest.raises(KeyboardInterrupt):
            experiment_toys.run(small(), tmp_path / "killed", on_measured=stop_at_the_third)
        before = len(counted)
        assert before < at_once
        done.clear()
        result = experiment_toys.run(small(), tmp_path / "killed", on_measured=done.append)
        assert len(counted) == at_once, "nothing is sampled twice"
        assert [(one.done, one.total) for one in done] == [(4, 4)], "nor measured"
        assert without_time(result) == without_time(expected)
        counted.clear()
        experiment_toys.run(small(), tmp_path / "killed", on_measured=done.append)
        assert (counted, len(done)) == ([], 1), "all of it was there"
    written = json.loads((tmp_path / "killed/experiments/toy/result.json").read_text())
    assert without_time(written) == without_time(result)


@pytest.mark.newest
def test_what_decides_scores_is_measured_again(tmp_path):
    done = []
    with experiment_toys.toy_models():
        first = experiment_toys.run(small(), tmp_path, on_measured=done.append)
        experiment_toys.run(small(rows=5), tmp_path, on_measured=done.append)
        assert len(done) == 8, "fewer rows"
    with experiment_toys.toy_models("other weights"):
        again = experiment_toys.run(small(), tmp_path, on_measured=done.append)
        assert len(done) == 12
    assert again["trained"] != first["trained"]


@pytest.mark.newest
def test_clip_guides(tmp_path):
    """The toy leads to bright images: its gradient took part."""
    with experiment_toys.toy_models():
        experiment_toys.run(small(), tmp_path)
    sets = [json.loads(p.read_text()) for p in tmp_path.rglob("made_from.json")]
    assert sorted(one.get("guide", {}).get("clip_scale", 0) for one in sets) == [0, 0, 2, 2]


def test_a_missing_workdir_is_answered_with_its_command(tmp_path):
    claim, place = find_claim("wordings"), Place(tmp_path / "runs", tmp_path / "out", "wordings")
    with pytest.raises(UserError) as refused:
        check_trained(claim, place)
    runs = tmp_path / "runs"
    command = f"glide-jax train --config=imagen_quickstart --workdir={runs}/imagen_quickstart"
    assert command in str(refused.value)
    for name in ("quickstart", "imagen_quickstart"):
        (tmp_path / "runs" / name / "base" / "checkpoints" / "7").mkdir(parents=True)
    check_trained(claim, place)


def test_own_trainings_are_finished_once(tmp_path):
    own = Trained("quickstart", ("stages.base.training.num_steps=7", "seed=3"), own=True)
    claim = dataclasses.replace(small(), trained={**SHARED, "short": own})
    place, trained = Place(tmp_path, tmp_path / "out", "toy"), []

    def note(experiment, workdir):
        trained.append((workdir, experiment.seed, experiment.stages["base"].training.num_steps))
        if len(trained) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_own(claim, place, note)
    train_own(claim, place, note)
    # So of another experiment that needs it.
    train_own(claim, dataclasses.replace(place, name="other"), note)
    workdir = tmp_path / "out" / "trained" / "short"
    assert trained == [(workdir, 3, 7)] * 2, "stopped, continued, and then left as it is"
    other = dataclasses.replace(own, overrides=("seed=4",))
    with pytest.raises(UserError, match="by another config"):
        train_own(dataclasses.replace(claim, trained={"short": other}), place, note)


def test_a_result_is_plotted_and_shown(tmp_path):
    claim = small()
    with experiment_toys.toy_models():
        result = experiment_toys.run(claim, tmp_path)
    shown = table(result)
    assert shown.splitlines()[-1] == result["verdict"]
    assert "CLIP, 2 − none" in shown
    write_plot(tmp_path / "rows.png", claim, result)
    curves = result | {
        "arms": [arm | {"x": i, "line": "one"} for i, arm in enumerate(result["arms"])]
    }
    write_plot(tmp_path / "curves.png", claim, curves)
    for name in ("rows", "curves"):
        assert Image.open(Path(tmp_path / f"{name}.png")).width > 1000


@pytest.mark.slow
@pytest.mark.usefixtures("one_device")
def test_an_experiment_trains_its_own_workdir_and_samples_from_it(tmp_path, monkeypatch):
    """By the entry of training itself, shrunk; the second run trains nothing."""
    for name, value in {"train": 16, "test": 8, "compositional": 8}.items():
        monkeypatch.setitem(builder.SPLITS, name, value)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    path = tiny.CONFIGS / "quickstart.py"
    changes = (*shrinking(path), "stages.upsampler=none", "evaluation=none")
    claim = dataclasses.replace(
        small(rows=3, seeds=(1,)),
        trained={"short": Trained("quickstart", changes, own=True)},
        arms=tuple(
            Arm(f"{scale}", Sampled("short", {"guidance_scale": scale}, num_stages=1))
            for scale in (1.5, 2.0)
        ),
        comparisons=(Difference("respects", "2.0", "1.5"),),
    )
    place = Place(tmp_path, tmp_path / "out", "toy")
    train_own(claim, place, train)
    callbacks = Callbacks(lambda name, progress: None, lambda one: None)
    result = run_claim(claim, place, callbacks)
    assert result["trained"]["short"]["by_the_experiment"]
    assert len(list((tmp_path / "out" / "images").rglob("*.png"))) == 6
    train_own(claim, place, lambda *_: pytest.fail("trained twice"))
