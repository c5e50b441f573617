"""`glide-jax experiment`: the list, a run, and mistakes in one line."""

import dataclasses
import json

import pytest
from experiments import experiment_toys

from glide_jax import cli, entry
from glide_jax.commands import train
from glide_jax.experiments.claims import guidance
from glide_jax.experiments.registry import CLAIMS


def experiment(*words):
    return cli.main(["experiment", *map(str, words)])


def test_without_a_name_claims_are_listed(capsys):
    assert experiment() == 0
    out = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{out}" for name in CLAIMS)
    assert "glide-jax train --config=clip_quickstart --workdir=runs/clip_quickstart" in out


def test_a_claim_is_run_and_printed(tmp_path, monkeypatch, capsys):
    few = {"sampler": "ddpm", "steps": "2"}
    arms = tuple(
        dataclasses.replace(
            arm, measure=dataclasses.replace(arm.measure, settings=arm.measure.settings | few)
        )
        for arm in guidance.CLAIM.arms
    )
    monkeypatch.setattr(guidance, "CLAIM", dataclasses.replace(guidance.CLAIM, arms=arms))
    trained = []
    monkeypatch.setattr(train, "train", lambda _, workdir: trained.append(workdir))
    own = {name: one.own for name, one in guidance.CLAIM.trained.items()}
    for name in own:
        (tmp_path / name / "base" / "checkpoints" / "7").mkdir(parents=True)
    with experiment_toys.toy_models():
        assert experiment("guidance", "--runs", tmp_path, "--rows", 4) == 0
    folder = tmp_path / "experiments" / "trained"
    assert trained == [folder / name for name, is_own in own.items() if is_own]
    said = capsys.readouterr()
    assert "[9/9] classifier-free, 3, seed 3: prompt truth" in said.out
    assert "(a first look, of 4 rows)" in said.out
    assert "step 2/2" in said.err
    folder = tmp_path / "experiments" / "guidance" / "first_look_4"
    result = json.loads((folder / "result.json").read_text())
    assert result["rows"] == 4
    assert f"\n{result['verdict']}\n" in said.out
    assert (folder / "plot.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["guidence"], "did you mean 'guidance'?"),
        (["guidance", "--rows", "1"], "--rows must be 2 or more"),
        (["few_steps"], "run glide-jax train --config=quickstart --workdir=runs/quickstart"),
        (["guidance", "--out", "gs://bucket/a"], "local folders"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert experiment(*words) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())
