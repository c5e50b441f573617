"""Ways to take one step back. A sampler is a pair of pure functions; `sample` drives it.

To add one: a file with a function that returns its Sampler, and a line in SAMPLERS. The shared
suite in tests/diffusion/samplers_test.py then holds it to what every sampler must do.

`repaint` makes another sampler of a sampler: one that keeps the known pixels of a picture.
"""

from collections.abc import Callable

from glide_jax.diffusion.samplers.ddim import ddim
from glide_jax.diffusion.samplers.ddpm import ddpm
from glide_jax.diffusion.samplers.dpm_solver_pp import dpm_solver_pp
from glide_jax.diffusion.samplers.euler import euler
from glide_jax.diffusion.samplers.heun import heun
from glide_jax.diffusion.samplers.plms import plms
from glide_jax.diffusion.samplers.repaint import repaint
from glide_jax.diffusion.samplers.sampler import Noise, Sampler, one_draw
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
"""Sampler name → factory of eta, the share of noise put back; samplers with a fixed share ignore
it."""

__all__ = [
    "SAMPLERS",
    "Noise",
    "Sampler",
    "ddim",
    "ddpm",
    "dpm_solver_pp",
    "euler",
    "heun",
    "one_draw",
    "plms",
    "repaint",
]
