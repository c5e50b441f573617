"""The command line: what it does, and what it says when it can't."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import xla_flags

from glide_jax import entry, main
from glide_jax.cache import lock_at_once
from glide_jax.commands.training_run import LOCK

ROOT = Path(__file__).parents[1]
QUICKSTART = str(tiny.CONFIGS / "quickstart.py")


def words(*more):
    overrides = (*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES)
    return [f"--config={QUICKSTART}", *(f"--config.{o}" for o in overrides), *more]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=none.py"], "none.py"),
        ([f"--config={QUICKSTART}", "--config.trainig.batch_size=8"], "training"),
        (
            [f"--config={QUICKSTART}", "--config.stages.base.training.batch_size=many"],
            "training.batch_size",
        ),
        ([f"--config={QUICKSTART}", "--config.data.source=shpes/64"], "shapes"),
        (
            [f"--config={QUICKSTART}", "--config.stages.base.training.batch_size=12"],
            "not divisible by the 8",
        ),
        ([f"--config={QUICKSTART}", "--config.stages.base.sampling.steps=many"], "many"),
        (["--promt=a"], "--promt"),
        (["--mode=paint"], "paint"),
        (["--mode=train", "--prompt=a"], "--prompt and --seed are for --mode=sample"),
        ([], "--config=FILE"),
        (["--mode=sample"], "--workdir=DIR"),
        (["--mode=sample", "--workdir=nowhere"], "no workdir nowhere"),
        (["--mode=evaluate", "--workdir=nowhere"], "no workdir nowhere"),
        (["--mode=sample", "--workdir=."], "no checkpoint in"),
        (["--mode=evaluate", "--workdir=."], "no checkpoint in"),
        (["--mode=sample", "--workdir=x", f"--config={QUICKSTART}"], "leave --config out"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    assert main.main(arguments) == entry.BAD_INPUT
    error = capfd.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("error: ")
    assert message in error[0]
    assert not (tmp_path / "runs").exists()


def test_a_second_run_in_a_workdir_is_refused(tmp_path, capfd):
    with lock_at_once(tmp_path / LOCK):
        assert main.main(words(f"--workdir={tmp_path}")) == entry.BAD_INPUT
    assert capfd.readouterr().err == (
        f"error: another run is training in {tmp_path}: wait until it has ended, or choose another "
        "--workdir\n"
    )


def test_a_workdir_that_can_t_be_written_is_refused(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("")
    assert main.main(words(f"--workdir={tmp_path}/file/inside")) == entry.BAD_INPUT
    assert "can't write to" in capfd.readouterr().err


def run(*arguments):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags.quick_cpu(1),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "glide_jax.main", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, env=environment, timeout=900, check=False, **options)
    return done.returncode, done.stdout


TWO_STAGES = (
    "data.source=shapes/32",
    "text.length=24",
    "evaluation.num_captions=4",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir of a cascade trained for a few steps."""
    workdir = tmp_path_factory.mktemp("trained")
    extra = [f"--config.{o}" for o in TWO_STAGES]
    status, output = run(*words(f"--workdir={workdir}", *extra))
    assert status == 0, output
    return workdir, output


@pytest.mark.slow
def test_train_says_its_cost_and_leaves_images_and_figures(trained):
    workdir, output = trained
    assert "FLOP a step" in output
    assert "base 6/6" in output
    assert "upsampler 3/3" in output
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["seconds"] > 0
    assert 0 < summary["peak_rss_gib"] < 24
    splits, scales = ("test", "compositional"), (1, 3)
    sets = {f"{split}, guidance {scale}" for split in splits for scale in scales}
    assert set(summary["metrics"]) == sets
    truth = {"prompt_truth", "prompt_truth_colour", "prompt_truth_shape"}
    assert truth <= set(summary["metrics"]["test, guidance 3"])
    assert (workdir / "samples.png").stat().st_size > 1000
    assert list((workdir / "base" / "tensorboard").iterdir())
    for stage in ("text_pretraining", "base"):
        rows = map(json.loads, (workdir / stage / "metrics.jsonl").read_text().splitlines())
        has = any(key.startswith("loss_q") for row in rows for key in row)
        assert has == (stage == "base"), "text-encoder pretraining has no noise levels"


@pytest.mark.slow
def test_sample_needs_nothing_but_the_workdir(trained):
    workdir, _ = trained
    before = json.loads((workdir / "summary.json").read_text())
    prompts = ["a red circle", "", "красный круг ⬤", "a red circle " * 40]
    status, output = run(
        "--mode=sample", f"--workdir={workdir}", *(f"--prompt={p}" for p in prompts)
    )
    assert status == 0, output
    assert "cut to its first 24 tokens" in output
    summary = json.loads((workdir / "summary.json").read_text())
    assert summary["sample"]["prompts"] == prompts
    assert all(Path(file).exists() for file in summary["sample"]["files"])
    assert summary["metrics"] == before["metrics"], "another mode's figures stay"


@pytest.mark.slow
def test_evaluate_prints_the_scorer_s_figures(trained):
    workdir, _ = trained
    status, output = run(
        "--mode=evaluate", f"--workdir={workdir}", "--config.evaluation.guidance_scales=(2.0,)"
    )
    assert status == 0, output
    assert "compositional, guidance 2, 4 images of 16×16" in output
    assert "prompt_truth_colour" in output


@pytest.mark.slow
def test_another_experiment_s_workdir_is_refused_and_left_alone(trained):
    workdir, _ = trained
    before = sorted(str(p) for p in workdir.rglob("*"))
    status, output = run(*words(f"--workdir={workdir}", "--config.seed=5"))
    assert status == entry.BAD_INPUT
    assert "holds another experiment's checkpoints" in output
    assert sorted(str(p) for p in workdir.rglob("*")) == before
