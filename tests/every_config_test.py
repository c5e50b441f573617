"""Every config of configs/, shrunk, trains on embedded data: its loss falls, and it samples."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from shrinking import shrunk
from toy_encoder import ToyEncoder

from glide_jax import config
from glide_jax.checkpoints import open_stage
from glide_jax.commands.train import train as run_training
from glide_jax.config import DenoiserConfig
from glide_jax.data.shapes import builder
from glide_jax.encoders import ENCODERS

CONFIGS = {path.stem: path for path in sorted(tiny.CONFIGS.glob("*.py"))}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(name of a config → its workdir and experiment), each trained once."""
    patch = pytest.MonkeyPatch()
    patch.setattr(builder, "SPLITS", {"train": 16, "test": 8, "compositional": 8})
    patch.setitem(ENCODERS, "toy", lambda path, *, dtype, mesh=None: ToyEncoder())
    # As conftest's one_device.
    patch.setattr(jax, "device_count", lambda: 1)
    patch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("data")))
    done = {}

    def train(name):
        if name not in done:
            start = [
                f"stages.{stage}.training.init_from={train(begins)[0]}"
                for stage, begins in begins_from(name).items()
            ]
            experiment = shrunk(CONFIGS[name], *start)
            workdir = tmp_path_factory.mktemp(name)
            run_training(experiment, workdir)
            done[name] = workdir, experiment
        return done[name]

    yield train
    patch.undo()


def begins_from(name):
    """A config's stages that start from others, and the config that trains those.

    The workdir that one starts from has that config's name.
    """
    stages = config.experiment_from(config.load_config(CONFIGS[name])).stages
    return {
        stage: Path(own.training.init_from).name
        for stage, own in stages.items()
        if own.training.init_from
    }


def quarters(workdir, stage):
    """The mean losses of the first and of the last quarter of a stage's steps."""
    # Evaluations during training have lines of their own.
    losses = [row["loss"] for row in tiny.metrics(workdir / stage) if "loss" in row]
    count = len(losses) // 4
    return np.mean(losses[:count]), np.mean(losses[-count:])


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_trains_and_samples(trained, name):
    workdir, experiment = trained(name)
    trainings = {stage: config.training for stage, config in experiment.stages.items()}
    if experiment.text_pretraining:
        trainings |= {"text_pretraining": experiment.text_pretraining.training}
    for stage, training in trainings.items():
        steps = training.num_steps
        assert tiny.metrics(workdir / stage)[-1]["step"] == steps
        before, after = quarters(workdir, stage)
        begins = begins_from(name).get(stage)
        is_student = bool(getattr(training, "distillation", None))
        if begins and not is_student:  # it has learned most of it already
            before, _ = quarters(trained(begins)[0], stage)
        # A student begins as its teacher: it can't get much nearer in so few steps.
        assert after < (1.5 if is_student else 0.9) * before, stage
    periodic = experiment.evaluation and experiment.evaluation.periodic
    for stage in set(periodic.stages) & trainings.keys() if periodic else ():
        rows = [row for row in tiny.metrics(workdir / stage) if "evaluation/prompt_truth" in row]
        every, last = periodic.every_steps, trainings[stage].num_steps
        assert [row["step"] for row in rows] == list(range(every, last + 1, every))
        if periodic.best_by:
            assert open_stage(workdir / "best", stage).step in [row["step"] for row in rows]
    assert json.loads((workdir / "summary.json").read_text())["seconds"] > 0
    model, first = experiment.first_stage.model, next(iter(experiment.stages))
    samples = isinstance(model, DenoiserConfig) and not model.low_res_size
    assert (workdir / "samples.png").exists() == samples
    assert bool(list((workdir / first / "samples").glob("*.png"))) == samples
    if samples:
        wanted = experiment.prompts or experiment.labels
        assert len(list((workdir / "samples").glob("*.png"))) == len(wanted)
