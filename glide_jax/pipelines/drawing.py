"""One stage's pictures: condition and keys in, pictures out, in one jitted call."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from glide_jax.config import DiffusionConfig, SamplingConfig
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import classifier_free, clip_x_0
from glide_jax.diffusion.sample import initial_noise, sample
from glide_jax.diffusion.samplers import SAMPLERS, Sampler
from glide_jax.diffusion.schedule import BETAS, Schedule, kept_timesteps, make_schedule
from glide_jax.errors import unknown_name
from glide_jax.models.model import IMAGE_CHANNELS, Model
from glide_jax.types import Array, Condition, Params

Draw = Callable[[Params, Condition, Condition | None, Array, Array, Array, Array], Array]
"""(params, condition, null condition or None, keys: key[b], guidance_scale: f32[], eta: f32[],
temperature: f32[]) → pictures f32[b h w 3] in [-1, 1]. Without a null condition there is no
guidance, and half the work."""


class Plan(NamedTuple):
    """Which steps are taken, and how.

    Attributes:
        whole: the schedule the model was trained on.
        taken: of the steps to take.
        sampler: makes the sampler of its eta.
    """

    whole: Schedule
    taken: Schedule
    sampler: Callable[[Array | float], Sampler]


def plan(diffusion: DiffusionConfig, sampling: SamplingConfig) -> Plan:
    """Work out a stage's steps. Raises UserError where they can't be taken."""
    if sampling.sampler not in SAMPLERS:
        raise unknown_name("sampler", sampling.sampler, SAMPLERS)
    betas = BETAS[diffusion.schedule](diffusion.num_steps)
    taken = make_schedule(betas, kept_timesteps(sampling.steps, diffusion.num_steps))
    return Plan(make_schedule(betas), taken, SAMPLERS[sampling.sampler])


def drawer(model: Model, size: int, diffusion: DiffusionConfig, sampling: SamplingConfig) -> Draw:
    """Build the jitted function that draws. Another prompt, seed or scale never compiles again.

    Args:
        model: the stage's.
        size: pixels a side.
        diffusion: the process the model was trained on.
        sampling: the sampler and its steps; the rest are arguments of the result.

    Raises:
        UserError: the steps can't be taken, or nobody knows the sampler.
    """
    whole, taken, make_sampler = plan(diffusion, sampling)

    @jax.jit
    def draw(params, condition, null, keys, guidance_scale, eta, temperature):
        if null is not None:
            condition = jax.tree.map(lambda *halves: jnp.concatenate(halves), condition, null)
        encoded = model.encode(params, condition)
        denoiser = denoiser_from(
            lambda x_t, t: model.apply(params, x_t, t, encoded), whole, diffusion.prediction
        )
        if null is not None:
            denoiser = classifier_free(denoiser, guidance_scale)
        x_T = temperature * initial_noise(keys, (size, size, IMAGE_CHANNELS))
        x_0 = sample(make_sampler(eta), clip_x_0(denoiser, whole), taken, x_T, keys)
        return jnp.clip(x_0, -1, 1)

    return draw
