"""What all transforms of x_0_hat share."""

from collections.abc import Callable

import jax.numpy as jnp

from glide_jax.diffusion.gaussian import eps_from_x_0, x_0_hat_of
from glide_jax.diffusion.schedule import Schedule
from glide_jax.types import Array, Denoiser, Prediction


def on_x_0_hat(
    denoiser: Denoiser, schedule: Schedule, change: Callable[[Array], Array]
) -> Denoiser:
    """The denoiser with another x_0_hat, and the eps that says the same.

    Args:
        denoiser: any.
        schedule: the one it was trained on, every step.
        change: x_0_hat → x_0_hat, f32[b h w c]. Where it changes nothing, eps stays as it is.
    """

    def changed(x_t: Array, t: Array) -> Prediction:
        prediction = denoiser(x_t, t)
        before = x_0_hat_of(schedule, t, x_t, prediction)
        after = change(before)
        eps = jnp.where(after == before, prediction.eps, eps_from_x_0(schedule, t, x_t, after))
        return prediction._replace(eps=eps, x_0_hat=after)

    return changed
