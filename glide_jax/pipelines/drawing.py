"""One stage's pictures: what is asked and keys in, pictures out, in one jitted call.

    encode once ─ denoiser ─ guidance ─ known pixels ─ threshold ─ gradients ─→ sample

What there is to a program is told by what it is given: of Inputs, a part that is None is not in
the program, and no number in it ever compiles again.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from glide_jax.config import DiffusionConfig, SamplingConfig
from glide_jax.diffusion import guidance
from glide_jax.diffusion.gaussian import denoiser_from, q_sample
from glide_jax.diffusion.sample import OnStep, initial_noise, picture_keys, sample, told_noise
from glide_jax.diffusion.samplers import SAMPLERS, Sampler, repaint
from glide_jax.diffusion.schedule import BETAS, Schedule, kept_timesteps, make_schedule
from glide_jax.errors import unknown_name
from glide_jax.models.model import IMAGE_CHANNELS, Encoded, Model
from glide_jax.parallel.mesh import batch_sharding, replicated
from glide_jax.pipelines.inputs import Inputs, Known, LogProbability, Way
from glide_jax.types import Array, Condition, Denoiser, Params


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


@dataclasses.dataclass(frozen=True)
class Program:
    """A stage's drawing in one Way.

    Attributes:
        num_steps: how many it takes.
        jitted: (params, Inputs) → uint8[b h w 3].
        listeners: who is told of the steps now, if anybody: one at most. It is not part of what
            is compiled, so that another listener compiles nothing.
    """

    num_steps: int
    jitted: Callable[[Params, Inputs], Array]
    listeners: list[OnStep]

    def __call__(self, params: Params, inputs: Inputs, on_step: OnStep | None) -> np.ndarray:
        """Draw; on_step is told of every step if the Way is watched. uint8[b h w 3]."""
        self.listeners[:] = [on_step] if on_step else []
        try:
            pictures = np.asarray(self.jitted(params, inputs))
            jax.effects_barrier()
        finally:
            self.listeners.clear()
        return pictures


Drawer = Callable[[Way], Program]


def plan(diffusion: DiffusionConfig, sampling: SamplingConfig) -> Plan:
    """Work out a stage's steps. Raises UserError where they can't be taken."""
    return _plan(diffusion, sampling.sampler, sampling.steps)


def drawer(model: Model, diffusion: DiffusionConfig) -> Drawer:
    """Build what gives the program of a Way; the same Way, the same program.

    Args:
        model: the stage's.
        diffusion: the process the model was trained on.

    Returns:
        Way → Program. Raises UserError: the steps can't be taken, or nobody knows the sampler.
    """

    @functools.cache
    def program(way: Way) -> Program:
        steps = _plan(diffusion, way.sampler, way.steps)
        listeners: list[OnStep] = []

        def tell(done: int, x_0_hat: np.ndarray) -> None:
            for listener in listeners:
                listener(done, x_0_hat)

        draw = jax.jit(_program(model, diffusion, steps, way, tell if way.watched else None))
        return Program(steps.taken.num_steps, draw, listeners)

    return program


def _plan(diffusion: DiffusionConfig, sampler: str, steps: str) -> Plan:
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    betas = BETAS[diffusion.schedule](diffusion.num_steps)
    taken = make_schedule(betas, kept_timesteps(steps, betas))
    return Plan(make_schedule(betas), taken, SAMPLERS[sampler])


def _program(
    model: Model, diffusion: DiffusionConfig, steps: Plan, way: Way, on_step: OnStep | None
) -> Callable[[Params, Inputs], Array]:
    size = model.config.image_size

    def draw(params: Params, inputs: Inputs) -> Array:
        inputs = _laid_out(inputs, way.mesh)
        keys = picture_keys(inputs.seed_key, inputs.indices)
        inputs = inputs._replace(condition=_noised(inputs.condition, inputs.low_res_noise, keys))
        sampler = steps.sampler(inputs.eta)
        denoiser = _guided(model, params, diffusion, steps.whole, inputs)
        if inputs.known is not None and way.resamples is not None:
            sampler = repaint(sampler, *inputs.known, way.resamples)
        elif inputs.known is not None:
            denoiser = guidance.keep_known(denoiser, steps.whole, *inputs.known)
        denoiser = _thresholded(denoiser, steps.whole, inputs.quantile)
        denoiser = _shifted(denoiser, steps.whole, sampler, inputs.log_probabilities)
        x_T = inputs.temperature * initial_noise(keys, (size, size, IMAGE_CHANNELS))
        start = None
        if inputs.begin is not None:
            image, start = inputs.begin
            x_T = q_sample(steps.taken, start, image, x_T)
        x_0 = sample(sampler, denoiser, steps.taken, x_T, keys, start=start, on_step=on_step)
        pictures = jnp.round((jnp.clip(x_0, -1, 1) + 1) * 127.5).astype(jnp.uint8)
        if way.mesh is None:
            return pictures
        return jax.lax.with_sharding_constraint(pictures, replicated(way.mesh))

    return draw


def _laid_out(inputs: Inputs, mesh: Mesh | None) -> Inputs:
    """The inputs with one row a picture, the pictures split over the mesh."""
    b = inputs.indices.shape[0]
    known, begin = inputs.known, inputs.begin
    if known is not None:
        known = Known(*(_rows(part, b) for part in known))
    if begin is not None:
        begin = begin._replace(image=_rows(begin.image, b))
    inputs = inputs._replace(known=known, begin=begin)
    if mesh is None:
        return inputs
    split = batch_sharding(mesh)
    one_a_picture = (inputs.indices, inputs.condition, known)
    indices, condition, known = jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, split), one_a_picture
    )
    return inputs._replace(indices=indices, condition=condition, known=known)


def _noised(condition: Condition, level: Array, keys: Array) -> Condition:
    """The condition with noise on its low-res picture, and how strong that is."""
    low_res = condition.low_res
    if low_res is None:
        return condition
    return dataclasses.replace(
        condition,
        low_res=low_res + level * told_noise(keys, low_res.shape[1:]),
        low_res_noise=jnp.broadcast_to(level, low_res.shape[:1]),
    )


def _guided(
    model: Model, params: Params, diffusion: DiffusionConfig, whole: Schedule, inputs: Inputs
) -> Denoiser:
    """The model's denoiser, its condition encoded, with classifier-free guidance if any."""

    def denoiser_of(encoded: Encoded) -> Denoiser:
        return denoiser_from(
            lambda x_t, t: model.apply(params, x_t, t, encoded), whole, diffusion.prediction
        )

    condition = inputs.condition
    if inputs.known is not None:
        # A model that was not trained for it does not look.
        image, mask = inputs.known
        condition = dataclasses.replace(condition, inpaint_image=image, inpaint_mask=mask)
    encoded = model.encode(params, condition)
    if inputs.towards is None:
        return denoiser_of(encoded)
    null, scale, interval = inputs.towards
    null = _encoded_null(model, params, null, condition, encoded, len(inputs.indices))
    both = jax.tree.map(lambda *halves: jnp.concatenate(halves), encoded, null)
    guided = guidance.classifier_free(denoiser_of(both), scale)
    if interval is None:
        return guided
    conditional = denoiser_of(encoded)
    return guidance.guidance_interval(guided, conditional, interval, diffusion.num_steps)


def _encoded_null(
    model: Model, params: Params, null: Condition, condition: Condition, encoded: Encoded, b: int
) -> Encoded:
    """The null captions encoded, one for all if they are one; pictures are the condition's."""
    if condition.low_res is not None:
        rows = jax.tree.leaves(null)[0].shape[0]
        told = {"low_res": condition.low_res, "low_res_noise": condition.low_res_noise}
        null = dataclasses.replace(null, **jax.tree.map(lambda x: x[:rows], told))
    words = model.encode(params, null)._replace(picture=None)
    words = jax.tree.map(lambda x: _rows(x, b), words)
    return words._replace(picture=encoded.picture)


def _thresholded(denoiser: Denoiser, whole: Schedule, quantile: Array | None) -> Denoiser:
    if quantile is None:
        return guidance.clip_x_0(denoiser, whole)
    return guidance.dynamic_threshold(denoiser, whole, quantile)


def _shifted(
    denoiser: Denoiser,
    whole: Schedule,
    sampler: Sampler,
    log_probabilities: tuple[LogProbability, ...],
) -> Denoiser:
    if not log_probabilities:
        return denoiser
    gradient = guidance.gradient_of(
        lambda x_t, t: jnp.stack([one(x_t, t) for one in log_probabilities]).sum(0)
    )
    if sampler.gradient_shifts == "mean":
        return guidance.shift_mean(denoiser, gradient)
    return guidance.shift_score(denoiser, whole, gradient)


def _rows(x: Array, b: int) -> Array:
    return jnp.broadcast_to(x, (b, *x.shape[1:]))
