"""The four means are those of the images in each quarter, however the batch was split."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax.diffusion.timesteps import not_noised
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.monitoring.quartiles import quartile_means, quartile_sums


def test_the_mean_of_each_quarter():
    t = jnp.array([0, 249, 250, 499, 500, 999, 999])
    losses = jnp.array([1.0, 3.0, 5.0, 7.0, 9.0, 10.0, 20.0])
    means = quartile_means([np.asarray(quartile_sums(losses, t, 1000))])
    assert means == {"loss_q1": 2.0, "loss_q2": 6.0, "loss_q3": 9.0, "loss_q4": 15.0}


def test_steps_count_by_their_images_and_an_empty_quarter_is_left_out():
    first = quartile_sums(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 0, 0]), 4)
    second = quartile_sums(jnp.array([10.0, 5.0]), jnp.array([0, 3]), 4)
    means = quartile_means([np.asarray(first), np.asarray(second)])
    assert means == {"loss_q1": 4.0, "loss_q4": 5.0}
    assert quartile_means([]) == {}


@pytest.mark.parametrize(("num_steps", "last"), [(1, 1), (3, 3), (10, 4)])
def test_every_step_lies_in_a_quarter(num_steps, last):
    sums = np.asarray(quartile_sums(jnp.ones(num_steps), jnp.arange(num_steps), num_steps))
    assert sums[:, 1].sum() == num_steps
    assert f"loss_q{last}" in quartile_means([sums]) or num_steps < 4


@pytest.mark.newest
def test_a_run_writes_them_and_their_mean_is_the_loss(tmp_path):
    """On eight devices, whose shares are summed."""
    experiment = tiny.experiment(
        "stages.base.training.log_every_steps=1", "stages.base.training.batch_size=32"
    )
    loop.train(tiny.job(tmp_path, experiment, tiny.linear), Interrupt(), None)
    rows = tiny.metrics(tmp_path)
    assert len(rows) == 6
    for row in rows:
        values = [row[f"loss_q{i}"] for i in (1, 2, 3, 4)]
        assert min(values) <= row["loss"] <= max(values)
    # The more noise there is, the harder x_0 is to predict.
    assert sum(row["loss_q1"] for row in rows) < sum(row["loss_q4"] for row in rows)


def test_what_was_not_noised_is_in_no_quarter():
    timesteps = not_noised(1000)
    t, weight = timesteps.sample(timesteps.memory, jax.random.split(jax.random.key(0), 5))
    assert (weight == 1).all()
    assert quartile_means([np.asarray(quartile_sums(jnp.ones(5), t, timesteps.num_steps))]) == {}
