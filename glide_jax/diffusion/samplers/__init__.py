"""Samplers: pure functions that take one step of the reverse process; `sample` loops over them.

To add one, write a file with a function that returns its Sampler, and add a line to SAMPLERS. The
shared suite in tests/diffusion/samplers_test.py then tests what every sampler must do.

`repaint` wraps a sampler so that it keeps the known pixels of an image.
"""

from collections.abc import Callable

from glide_jax.diffusion.samplers.ddim import ddim
from glide_jax.diffusion.samplers.ddpm import ddpm
from glide_jax.diffusion.samplers.dpm_solver_pp import dpm_solver_pp
from glide_jax.diffusion.samplers.euler import euler
from glide_jax.diffusion.samplers.heun import heun
from glide_jax.diffusion.samplers.plms import plms
from glide_jax.diffusion.samplers.repaint import repaint
from glide_jax.diffusion.samplers.sampler import Noise, Sampler, fixed_noise
from glide_jax.types import Array

SAMPLERS: dict[str, Callable[[Array | float], Sampler]] = {
    "ddpm": lambda eta: ddpm("posterior"),
    "ddpm_beta": lambda eta: ddpm("beta"),
    "ddim": ddim,
    "plms": lambda eta: plms(),
    "dpm_solver++": lambda eta: dpm_solver_pp(),
    "euler": lambda eta: euler(),
    "heun": lambda eta: heun(),
}
"""Sampler name → factory of eta, the share of noise that each step adds; samplers whose share is
fixed ignore it."""

__all__ = [
    "SAMPLERS",
    "Noise",
    "Sampler",
    "ddim",
    "ddpm",
    "dpm_solver_pp",
    "euler",
    "fixed_noise",
    "heun",
    "plms",
    "repaint",
]
