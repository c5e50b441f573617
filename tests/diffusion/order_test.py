"""How fast the solvers close in on the probability-flow ODE, whose solution Gaussian data has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, optimal, schedules

from glide_jax.diffusion.gaussian import eps_from_x_0, q_sample
from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.schedule import make_schedule
from glide_jax.types import Prediction

MEAN, STD = 0.3, 0.5
ORDERS = {"ddim": 1, "euler": 1, "heun": 2, "dpm_solver++": 2, "plms": 2}
"""plms is of second order because of its first step, and of fourth after its start."""


def even_in_log_snr(num_steps):
    """A schedule that is its own original: no step is rounded to a whole one of another."""
    alpha_bar = 1 / (1 + np.exp(-np.linspace(4, -6, num_steps)))
    return make_schedule(1 - alpha_bar / np.append(1, alpha_bar[:-1]))


def error(name, full, kept, std=STD, start=None):
    """The largest difference from the ODE's solution at the first step, and x_0_hat there.

    start: the first step taken, from an image of the data that was noised to it; None: all.
    """
    place = kept.num_steps - 1 if start is None else start
    alpha_bar = np.asarray(kept.alpha_bar, np.float64)[[0, place]]
    x_t = normal((2, 8, 8, 3))
    if start is not None:
        image = MEAN + std * normal(x_t.shape, seed=2)
        x_t = q_sample(kept, jnp.array(start), image, x_t)
    run = jax.jit(
        lambda noise, x_t: sample(
            SAMPLERS[name](0.0), optimal(full, MEAN, std), kept, x_t, noise=noise, start=start
        )
    )
    found = run(jnp.zeros((kept.num_steps, *x_t.shape)), x_t)
    least, most = (1 - alpha_bar) / alpha_bar + std**2  # variance of x_t / sqrt(alpha_bar)
    away = np.asarray(x_t, np.float64) / np.sqrt(alpha_bar[1]) - MEAN
    exact = MEAN + away * np.sqrt(least / most) * std**2 / least
    return np.abs(found - exact).max()


@pytest.mark.newest
@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_twice_the_steps_divide_the_error_by_2_to_the_order(name, order):
    coarse, middle, fine = (error(name, *[even_in_log_snr(n)] * 2) for n in (40, 80, 160))
    assert np.log2(coarse / middle) == pytest.approx(order, abs=0.2)
    assert np.log2(middle / fine) == pytest.approx(order, abs=0.2)


def test_every_solver_has_its_order_held():
    assert set(SAMPLERS) - ORDERS.keys() == {"ddpm", "ddpm_beta"}


@pytest.mark.newest
@pytest.mark.parametrize("steps", ["10", "27", "50"])
@pytest.mark.parametrize("name", ["heun", "plms"])
def test_second_order_pays_on_the_schedule_that_ends_in_pure_noise(name, steps):
    """The first step goes from sigma 20,000 to 6 or so: no rule for small steps may blow it up."""
    full, kept = schedules("squared_cosine", steps)
    assert error(name, full, kept) < error("ddim", full, kept) / 4


def test_dpm_solver_pays_where_steps_are_even_in_log_snr():
    full, kept = schedules("linear", "logsnr20")
    assert error("dpm_solver++", full, kept) < error("ddim", full, kept) / 4


@pytest.mark.newest
@pytest.mark.parametrize("start", [None, 0.3])
@pytest.mark.parametrize("std", [0.05, 0.5])
@pytest.mark.parametrize(("betas", "steps"), [("squared_cosine", 5), ("linear", 10)])
@pytest.mark.parametrize("name", sorted(ORDERS.keys() - {"ddim"}))
def test_a_solver_at_few_steps_is_no_worse_than_ddim(name, betas, steps, std, start):
    """Also for details much smaller than the noise, and from an image that was noised a little."""
    full, kept = schedules(betas, str(steps))
    first = None if start is None else max(round(start * steps) - 1, 1)
    assert error(name, full, kept, std, first) <= 1.01 * error("ddim", full, kept, std, first)


@pytest.mark.parametrize("name", sorted(ORDERS.keys() - {"ddim"}))
def test_three_steps_are_no_worse_than_ddims(name):
    full, kept = schedules("squared_cosine", "3")
    assert error(name, full, kept, 0.05) <= 1.01 * error("ddim", full, kept, 0.05)


@pytest.mark.newest
@pytest.mark.parametrize("steps", ["3", "5", "10", "27"])
@pytest.mark.parametrize("name", sorted(ORDERS.keys()))
def test_what_a_step_does_to_a_wrong_evaluation_is_bounded(name, steps):
    """x_0_hat is random within [-1, 1]: a step must not make of it more than a few times that."""
    full, kept = schedules("linear", steps)

    def wrong(x_t, t):
        x_0 = jnp.sin(1e4 * x_t + t.reshape(-1, 1, 1, 1))
        return Prediction(eps_from_x_0(full, t, x_t, x_0))

    last, found = kept.num_steps // 2, []
    zeros = jnp.zeros((2, 8, 8, 3))
    x_t = q_sample(kept, jnp.array(last), zeros, normal(zeros.shape))
    sampler = SAMPLERS[name](0.0)
    state = sampler.init(x_t)
    for i in range(last, 0, -1):
        x_t, state, _ = sampler.update(wrong, kept, jnp.array(i), x_t, state, lambda k: zeros)
        found.append(float(jnp.abs(x_t).max()))
    assert max(found) < 10  # of plms 9.3: what its formula of fourth order does to any error
