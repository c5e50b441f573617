"""A run that is stopped and continued equals one that never was."""

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest
import tiny
from models.model_toys import filled

from glide_jax.checkpoints import Checkpoints, open_checkpoint
from glide_jax.errors import Interrupted, UserError
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt


def no_images(params, step):
    return np.zeros((1, 8, 8, 3), np.uint8)


def grids(sample=no_images, every_steps=100):
    return loop.SampleGrids(every_steps, sample)


@pytest.mark.parametrize(
    ("build", "timesteps"),
    [
        pytest.param(tiny.convolutional, "uniform", marks=pytest.mark.slow),
        (tiny.linear, "loss_second_moment"),
    ],
)
def test_stopped_and_resumed_equals_unbroken_bit_for_bit(tmp_path, build, timesteps):
    two_timesteps = (
        f"stages.base.diffusion.timesteps={timesteps}",
        "stages.base.diffusion.num_steps=2",
        "stages.base.sampling.steps=1",
    )
    experiment = tiny.experiment(*two_timesteps)
    unbroken = loop.train(tiny.job(tmp_path / "a", experiment, build), Interrupt(), grids())

    with Interrupt() as interrupt:

        def stop(params, step):
            os.kill(os.getpid(), signal.SIGINT)
            return no_images(params, step)

        with pytest.raises(Interrupted, match=r"after step 4 of 6 .* the same command continues"):
            loop.train(tiny.job(tmp_path / "b", experiment, build), interrupt, grids(stop, 3))
    resumed = loop.train(
        tiny.job(tmp_path / "b", experiment, build), Interrupt(), grids(every_steps=3)
    )

    for path, value in unbroken.items():
        np.testing.assert_array_equal(resumed[path], value, err_msg=path)
    rows = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").open()]
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert rows[-1]["step"] == 6


@pytest.mark.newest
def test_a_finished_run_trains_no_further(tmp_path):
    first = loop.train(tiny.job(tmp_path, tiny.experiment(), tiny.linear), Interrupt(), grids())
    again = loop.train(tiny.job(tmp_path, tiny.experiment(), tiny.linear), Interrupt(), grids())
    assert all(np.array_equal(first[path], again[path]) for path in first)


def test_a_checkpoint_that_was_renamed_is_not_continued_from(tmp_path):
    loop.train(tiny.job(tmp_path, tiny.experiment(), tiny.linear), Interrupt(), None)
    folder = tmp_path / "checkpoints"
    (folder / "6").rename(folder / "4")
    with pytest.raises(UserError, match=r"checkpoints/4 holds step 6: .*name it 6, or choose"):
        loop.train(tiny.job(tmp_path, tiny.experiment(), tiny.linear), Interrupt(), None)


def test_checkpoint_holds_what_sampling_needs(tmp_path):
    trained = tiny.job(tmp_path, tiny.experiment(), tiny.linear)
    params = loop.train(trained, Interrupt(), grids())
    checkpoint = open_checkpoint(tmp_path / "checkpoints")
    assert checkpoint.step == 6
    assert checkpoint.experiment == tiny.experiment()
    assert checkpoint.tokenizer == tiny.tokenizer().to_dict()
    restored = checkpoint.restore({"ema_params": trained.model.shapes})["ema_params"]
    assert all(np.array_equal(restored[path], params[path]) for path in params)


def test_weights_that_were_imported_in_bfloat16_are_trained_in_float32(tmp_path):
    experiment = tiny.experiment("stages.base.training.learning_rate=1e-30")
    job = tiny.job(tmp_path, experiment, tiny.linear)
    stored = {p: x.astype(jax.numpy.bfloat16) for p, x in filled(job.model.shapes).items()}
    with Checkpoints(
        tmp_path / "checkpoints",
        keep=1,
        experiment=experiment,
        tokenizer=tiny.tokenizer().to_dict(),
    ) as checkpoints:
        checkpoints.save(0, {"ema_params": stored}, {})
    params = loop.train(job, Interrupt(), None)
    given = dataclasses.replace(
        tiny.job(tmp_path / "other", experiment, tiny.linear),
        initial_params={path: np.asarray(x) for path, x in stored.items()},
    )
    for found in (params, loop.train(given, Interrupt(), None)):
        for path, x in stored.items():
            assert found[path].dtype == np.float32
            np.testing.assert_allclose(found[path], np.asarray(x, np.float32), atol=1e-6)


def broken_from(trained, first, last):
    """The job with a gradient of nan in the steps from `first` to `last`."""
    loss = trained.loss

    def breaking(params, batch, key):
        value, means = loss(params, batch, key)
        seeds = [jax.random.key(trained.experiment.seed + 1)] * (last - first + 1)
        keys = [jax.random.fold_in(s, first - 1 + i) for i, s in enumerate(seeds)]
        same = [(jax.random.key_data(key) == jax.random.key_data(k)).all() for k in keys]
        return jax.numpy.where(jax.numpy.stack(same).any(), jax.numpy.nan, 1) * value, means

    return dataclasses.replace(trained, loss=breaking)


@pytest.mark.newest
def test_steps_whose_loss_is_not_finite_are_skipped_and_counted(tmp_path):
    steps = ("stages.base.training.log_every_steps=1", "stages.base.training.num_steps=2")
    two = loop.train(
        tiny.job(tmp_path / "a", tiny.experiment(*steps), tiny.linear), Interrupt(), None
    )
    more = tiny.experiment(
        "stages.base.training.log_every_steps=1", "stages.base.training.num_steps=4"
    )
    four = loop.train(
        broken_from(tiny.job(tmp_path / "a", more, tiny.linear), 3, 4), Interrupt(), None
    )
    assert all(np.array_equal(four[path], value) for path, value in two.items())
    rows = tiny.metrics(tmp_path / "a")
    assert [row["skipped"] for row in rows] == [0, 0, 1, 1]
    assert rows[-1]["loss"] is None
    state = open_checkpoint(tmp_path / "a" / "checkpoints")
    assert state.step == 4


def test_more_skipped_steps_than_allowed_stop_the_run(tmp_path):
    experiment = tiny.experiment(
        "stages.base.training.checkpoint_every_steps=2", "stages.base.training.max_skipped_steps=1"
    )
    message = r"at step 4, 2 steps in a row, .*max_skipped_steps=1; the last good .* step 2"
    with pytest.raises(UserError, match=message):
        loop.train(
            broken_from(tiny.job(tmp_path, experiment, tiny.linear), 3, 4), Interrupt(), None
        )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("stages.base.training.batch_size=12",),
            r"batch_size=12 is not divisible by the 8 devices",
        ),
        (
            ("stages.base.training.batch_size=16", "stages.base.training.microbatch_size=3"),
            "microbatch_size=3 does not",
        ),
        (("stages.base.training.fsdp=3",), "fsdp=3 does not divide the 8 devices"),
    ],
)
def test_a_batch_that_does_not_fit_the_devices_is_refused(tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        loop.train(tiny.job(tmp_path, tiny.experiment(*overrides)), Interrupt(), grids())
