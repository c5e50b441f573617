"""Evaluations during training: into the sinks, once each, and the best weights kept."""

import dataclasses
import json

import pytest
import tiny
from evaluation import evaluation_toys

from glide_jax import data
from glide_jax.checkpoints import find_checkpoint, read_experiment
from glide_jax.config import with_overrides
from glide_jax.errors import UserError
from glide_jax.evaluation import features
from glide_jax.evaluation.images.image_set import image_set_of
from glide_jax.evaluation.periodic import FILE, check_periodic, periodic_of
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt

PERIODIC = {
    "every_steps": 2,
    "stages": ("base",),
    "split": "test",
    "num_captions": 4,
    "metrics": ("inception_score",),
    "reference": "",
    "net": "toy",
    "best_by": "class score (toy)",
}


def experiment(**changes):
    """The tiny experiment, evaluated every second step."""
    periodic = PERIODIC | changes
    loaded = tiny.config.load_config(tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES[:-1]])
    del loaded.text_pretraining
    loaded.stages = {"base": loaded.stages.base}
    loaded.evaluation.periodic = periodic
    return tiny.config.experiment_from(loaded)


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(data, "prepare", lambda name, path: None)
    monkeypatch.setattr(data, "open_source", lambda name, path, split: tiny.Swatches())
    monkeypatch.setitem(
        features.FEATURE_NETS, "toy", lambda path, *, resize, mesh: evaluation_toys.net("toy")
    )


def test_numbers_go_to_the_sinks_once_each_and_a_resumed_run_has_them_all(tmp_path):
    job = tiny.job(tmp_path, tiny.experiment(), tiny.linear)
    evaluated, stopped = [], []

    def evaluate(params, step):
        evaluated.append(step)
        assert params.keys() == job.model.shapes.keys()
        return {"evaluation/a": step / 2}

    def evaluations(done=()):
        return loop.Evaluations(2, lambda step: step in done, evaluate)

    with Interrupt() as interrupt:
        interrupt.after_step = lambda: stopped.append(0) or len(stopped) == 4
        with pytest.raises(loop.Interrupted):
            loop.train(job, interrupt, None, evaluations())
    assert evaluated == [2], "stopped before the evaluation of step 4"
    loop.train(job, Interrupt(), None, evaluations(done=(2,)))
    assert evaluated == [2, 4, 6]
    loop.train(job, Interrupt(), None, evaluations(done=(2, 4, 6)))
    assert evaluated == [2, 4, 6]
    rows = [row for row in tiny.metrics(tmp_path) if "evaluation/a" in row]
    assert [(row["step"], row["evaluation/a"]) for row in rows] == [(2, 1), (4, 2), (6, 3)]


def test_the_best_weights_are_kept_as_a_workdir(tmp_path, monkeypatch):
    cascade = tiny.config.experiment_from(
        tiny.config.load_config(
            tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES[:-1], *tiny.UPSAMPLER_OVERRIDES]
        )
    )
    settings = dataclasses.replace(cascade.evaluation, periodic=experiment().evaluation.periodic)
    cascade = dataclasses.replace(cascade, evaluation=settings)
    job = tiny.job(tmp_path / "base", experiment(), tiny.linear)
    job = dataclasses.replace(job, experiment=cascade)
    periodic = periodic_of(job, tmp_path)
    assert periodic is not None
    levels = {2: 20, 4: 200, 6: 60}

    def sampled(pipeline, prompts, name, seed):
        """The more its images differ, the higher the score."""
        assert len(prompts) == 4
        images = evaluation_toys.images(4)
        pixels = next(images.batches(4)).astype(int) * 0
        pixels[:2] = levels[pipeline.stages[0].step]
        return image_set_of(pixels.astype("uint8"), name)

    monkeypatch.setattr("glide_jax.evaluation.periodic.sampled", sampled)
    for step in levels:
        stage = evaluation_toys.stage()
        stage = tiny.dataclasses.replace(stage, step=step)
        found = periodic.evaluate(Pipeline((stage,)), step)
        assert found.keys() == {"evaluation/class score (toy)"}
    best = find_checkpoint(tmp_path / "best" / "base" / "checkpoints")
    assert best is not None
    assert best.step == 4
    assert best.shapes("ema_params").keys() == stage.params.keys()
    assert list(read_experiment(tmp_path / "best").stages) == ["base"]
    record = json.loads((tmp_path / "base" / FILE).read_text())
    assert list(record) == ["2", "4", "6"]
    again = periodic_of(job, tmp_path)
    assert again is not None
    assert again.is_done(4)
    assert not again.is_done(5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ("bas",)}, "did you mean 'base'"),
        ({"metrics": ("fid",)}, "reference is empty"),
        ({"metrics": ("bits_per_dim",)}, "is of held-out images"),
        ({"metrics": ("clip_score",)}, "needs a CLIP"),
        ({"metrics": ()}, "one or more"),
        ({"every_steps": 0}, "must be 1 or more"),
    ],
)
def test_what_can_t_be_evaluated_is_one_line_before_training(changes, message):
    with pytest.raises(UserError, match=message):
        check_periodic(experiment(**changes))


def test_prompt_truth_needs_a_scorer():
    asked = experiment(metrics=("prompt_truth",))
    check_periodic(asked)
    with pytest.raises(UserError, match="has none"):
        check_periodic(with_overrides(asked, ["data.source=emoji/64"]))


def test_a_config_without_it_has_no_evaluations(tmp_path):
    assert periodic_of(tiny.job(tmp_path, tiny.experiment(), tiny.linear), tmp_path) is None
