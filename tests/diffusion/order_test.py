"""How fast the solvers close in on the probability-flow ODE, whose solution Gaussian data has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import normal, optimal, schedules

from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.schedule import make_schedule

MEAN, STD = 0.3, 0.5
ORDERS = {"ddim": 1, "euler": 1, "heun": 2, "dpm_solver++": 2, "plms": 2}
"""plms is of second order because of its first step, and of fourth after its start."""


def even_in_log_snr(num_steps):
    """A schedule that is its own original: no step is rounded to a whole one of another."""
    alpha_bar = 1 / (1 + np.exp(-np.linspace(4, -6, num_steps)))
    return make_schedule(1 - alpha_bar / np.append(1, alpha_bar[:-1]))


def error(name, full, kept):
    """The largest difference from the ODE's solution at the first step, and x_0_hat there."""
    x_T = normal((2, 8, 8, 3))
    run = jax.jit(
        lambda noise: sample(SAMPLERS[name](0.0), optimal(full, MEAN, STD), kept, x_T, noise=noise)
    )
    found = run(jnp.zeros((kept.num_steps, *x_T.shape)))
    alpha_bar = np.asarray(kept.alpha_bar, np.float64)[[0, -1]]
    least, most = (1 - alpha_bar) / alpha_bar + STD**2  # variance of x_t / sqrt(alpha_bar)
    away = np.asarray(x_T, np.float64) / np.sqrt(alpha_bar[1]) - MEAN
    exact = MEAN + away * np.sqrt(least / most) * STD**2 / least
    return np.abs(found - exact).max()


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_twice_the_steps_divide_the_error_by_2_to_the_order(name, order):
    coarse, middle, fine = (error(name, *[even_in_log_snr(n)] * 2) for n in (40, 80, 160))
    assert np.log2(coarse / middle) == pytest.approx(order, abs=0.2)
    assert np.log2(middle / fine) == pytest.approx(order, abs=0.2)


def test_every_solver_has_its_order_held():
    assert set(SAMPLERS) - ORDERS.keys() == {"ddpm", "ddpm_beta"}


@pytest.mark.parametrize("steps", ["10", "27", "50"])
@pytest.mark.parametrize("name", ["heun", "plms"])
def test_second_order_pays_on_the_schedule_that_ends_in_pure_noise(name, steps):
    """The first step goes from sigma 20,000 to 6 or so: no rule for small steps may blow it up."""
    full, kept = schedules("squared_cosine", steps)
    assert error(name, full, kept) < error("ddim", full, kept) / 4


def test_dpm_solver_pays_where_steps_are_even_in_log_snr():
    full, kept = schedules("linear", "logsnr20")
    assert error("dpm_solver++", full, kept) < error("ddim", full, kept) / 4
