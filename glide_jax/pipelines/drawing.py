"""One stage's pictures: what is asked and keys in, pictures out, in one jitted call.

    encode once ─ denoiser ─ guidance ─ known pixels ─ threshold ─ gradients ─→ sample

or in a call a step, where somebody watches. (A program that calls back would be compiled at every
start: JAX doesn't keep those.)

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
from glide_jax.diffusion import sample as sampling
from glide_jax.diffusion.gaussian import denoiser_from, q_sample
from glide_jax.diffusion.sample import Carry, initial_noise, picture_keys, told_noise
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


PICTURES_NDIM = 4

OnStep = Callable[[int, np.ndarray], object]
"""(steps done: 1 … all, x_0_hat: f32[b h w 3] as the last of them saw it) → ignored."""


class Begun(NamedTuple):
    """What is computed once, before the first step.

    Attributes:
        inputs: laid out.
        encoded: the condition.
        both: it, and the null captions beneath; None: no guidance.
        keys: key[b], of the pictures.
        x_T: f32[b h w 3], where it begins; of a picture that it begins from, noised.
        prepared: what the model computes of its weights alone, see `Model.prepare`.
    """

    inputs: Inputs
    encoded: Encoded
    both: Encoded | None
    keys: Array
    x_T: Array
    prepared: Params


@dataclasses.dataclass(frozen=True)
class Program:
    """A stage's drawing in one Way.

    Attributes:
        num_steps: how many it takes.
        whole: (params, Inputs) → uint8[b h w 3], jitted; or, in parts,
        begin: (params, Inputs) → (Begun, Carry), jitted;
        advance: (params, Begun, Carry, i: i32[]) → (Carry, x_0_hat), jitted;
        finish: x_0 → uint8[b h w 3], jitted.
    """

    num_steps: int
    whole: Callable[[Params, Inputs], Array]
    begin: Callable[[Params, Inputs], tuple[Begun, Carry]]
    advance: Callable[[Params, Begun, Carry, Array], tuple[Carry, Array]]
    finish: Callable[[Array], Array]

    def __call__(self, params: Params, inputs: Inputs, on_step: OnStep | None) -> np.ndarray:
        """Draw, and tell on_step of every step. uint8[b h w 3]."""
        if on_step is None:
            return np.asarray(self.whole(params, inputs))
        begun, carry = self.begin(params, inputs)
        first = self.num_steps - 1 if inputs.begin is None else int(inputs.begin.start)
        for i in range(first, -1, -1):
            carry, x_0_hat = self.advance(params, begun, carry, jnp.int32(i))
            on_step(first - i + 1, np.asarray(x_0_hat, np.float32))
        return np.asarray(self.finish(carry[0]))


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
        return _program(model, diffusion, steps, way)

    return program


def _plan(diffusion: DiffusionConfig, sampler: str, steps: str) -> Plan:
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    betas = BETAS[diffusion.schedule](diffusion.num_steps)
    taken = make_schedule(betas, kept_timesteps(steps, betas))
    return Plan(make_schedule(betas), taken, SAMPLERS[sampler])


def _program(model: Model, diffusion: DiffusionConfig, steps: Plan, way: Way) -> Program:
    taken, size = steps.taken, model.config.image_size

    def laid(x: Array, *, split: bool) -> Array:
        if way.mesh is None:
            return x
        sharding = batch_sharding(way.mesh) if split else replicated(way.mesh)
        return jax.lax.with_sharding_constraint(x, sharding)

    def start(params: Params, inputs: Inputs) -> Begun:
        inputs = _laid_out(inputs, way.mesh)
        keys = picture_keys(inputs.seed_key, inputs.indices)
        inputs = inputs._replace(condition=_noised(inputs.condition, inputs.low_res_noise, keys))
        x_T = inputs.temperature * initial_noise(keys, (size, size, IMAGE_CHANNELS))
        if inputs.begin is not None:
            x_T = q_sample(taken, inputs.begin.start, inputs.begin.image, x_T)
        return Begun(inputs, *_encoded(model, params, inputs), keys, x_T, {})

    def tools(params: Params, begun: Begun) -> tuple[Sampler, Denoiser]:
        inputs = begun.inputs
        sampler = steps.sampler(inputs.eta)
        denoiser = _guided(model, params | begun.prepared, diffusion, steps.whole, begun)
        if inputs.known is not None and way.resamples is not None:
            sampler = repaint(sampler, *inputs.known, way.resamples)
        elif inputs.known is not None:
            denoiser = guidance.keep_known(denoiser, steps.whole, *inputs.known)
        denoiser = _thresholded(denoiser, steps.whole, inputs.quantile)
        return sampler, _shifted(denoiser, steps.whole, sampler, inputs.log_probabilities)

    def begin(params: Params, inputs: Inputs) -> tuple[Begun, Carry]:
        begun = start(params, inputs)
        sampler, _ = tools(params, begun)
        begun = begun._replace(prepared=_prepared(model, params, begun))
        return begun, settled(sampling.begin(sampler, begun.x_T))

    def advance(params: Params, begun: Begun, carry: Carry, i: Array) -> tuple[Carry, Array]:
        sampler, denoiser = tools(params, begun)
        carry, x_0_hat = sampling.advance(sampler, denoiser, taken, carry, i, begun.keys)
        return settled(carry), laid(x_0_hat, split=False)

    def settled(carry: Carry) -> Carry:
        # After every step as before the first, or the second step would compile once more.
        return jax.tree.map(lambda x: laid(x, split=x.ndim == PICTURES_NDIM), carry)

    def finish(x_0: Array) -> Array:
        pictures = jnp.round((jnp.clip(x_0, -1, 1) + 1) * 127.5).astype(jnp.uint8)
        return laid(pictures, split=False)

    def whole(params: Params, inputs: Inputs) -> Array:
        # Nothing is prepared: XLA takes out of the loop what hangs on the weights alone.
        begun = start(params, inputs)
        first = None if inputs.begin is None else inputs.begin.start
        run = *tools(params, begun), taken, begun.x_T, begun.keys
        return finish(sampling.sample(*run, start=first))

    return Program(taken.num_steps, *map(jax.jit, (whole, begin, advance, finish)))


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


def _encoded(model: Model, params: Params, inputs: Inputs) -> tuple[Encoded, Encoded | None]:
    """The condition encoded; and with the null captions beneath it, where they guide."""
    condition = inputs.condition
    if inputs.known is not None:
        # A model that was not trained for it does not look.
        image, mask = inputs.known
        condition = dataclasses.replace(condition, inpaint_image=image, inpaint_mask=mask)
    encoded = model.encode(params, condition)
    if inputs.towards is None:
        return encoded, None
    null = inputs.towards.null
    null = _encoded_null(model, params, null, condition, encoded, len(inputs.indices))
    return encoded, jax.tree.map(lambda *halves: jnp.concatenate(halves), encoded, null)


def _prepared(model: Model, params: Params, begun: Begun) -> Params:
    """What the model prepares for the calls of every step."""
    if begun.both is None:
        encoded, x_t = begun.encoded, begun.x_T
    else:
        encoded, x_t = begun.both, jnp.concatenate([begun.x_T, begun.x_T])
    return model.prepare(params, x_t, jnp.zeros(len(x_t), jnp.int32), encoded)


def _guided(
    model: Model, params: Params, diffusion: DiffusionConfig, whole: Schedule, begun: Begun
) -> Denoiser:
    """The model's denoiser, with classifier-free guidance if any."""

    def denoiser_of(encoded: Encoded) -> Denoiser:
        return denoiser_from(
            lambda x_t, t: model.apply(params, x_t, t, encoded), whole, diffusion.prediction
        )

    towards = begun.inputs.towards
    if towards is None or begun.both is None:
        return denoiser_of(begun.encoded)
    guided = guidance.classifier_free(denoiser_of(begun.both), towards.scale)
    if towards.interval is None:
        return guided
    conditional = denoiser_of(begun.encoded)
    return guidance.guidance_interval(guided, conditional, towards.interval, diffusion.num_steps)


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
