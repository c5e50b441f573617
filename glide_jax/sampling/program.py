"""The compiled program that samples one stage: conditions and keys in, images out.

    begin:    encode the condition once, prepare the weights, x_T
    advance:  lax.scan over a chunk of steps; each evaluates the guided denoiser, see `denoising`
    finish:   x_0 → uint8

Everything that may change from call to call is an argument: another prompt, seed, scale or number
compiles nothing. `StaticArguments`, and which optional arguments are there, decide the program.
Progress is shown between chunks; the program and its bits are the same whether or not it is.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from glide_jax.config import DiffusionConfig
from glide_jax.diffusion import sample as loop
from glide_jax.diffusion.augmentation import augmented
from glide_jax.diffusion.caching import CachedDenoiser
from glide_jax.diffusion.gaussian import q_sample
from glide_jax.diffusion.sample import Carry, augmentation_noise, image_keys, initial_noise
from glide_jax.diffusion.samplers import SAMPLERS, Sampler, repaint
from glide_jax.diffusion.schedule import BETAS, Schedule, kept_timesteps, make_schedule
from glide_jax.errors import unknown_name
from glide_jax.models.model import IMAGE_CHANNELS, Encoded, Model
from glide_jax.parallel.collectives import on_host
from glide_jax.parallel.mesh import batch_sharding, replicated
from glide_jax.sampling.denoising import BatchModel, CachingArguments
from glide_jax.sampling.guidance import Transform
from glide_jax.types import Array, Condition, Denoiser, Params

CHUNK = 16
"""Steps of one scan: few enough that steps skipped in it cost nothing, and enough that a device is
not kept waiting between two."""

MAX_PROGRAMS = 24
"""Of a model, that are kept compiled; a sweep or a server may go through hundreds."""

_IMAGE_NDIM = 4


class StaticArguments(NamedTuple):
    """What can't be an argument of a compiled program; another value compiles another one.

    Attributes:
        sampler: a name in SAMPLERS.
        steps: see kept_timesteps.
        resamples: RePaint's; None: RePaint is not used.
        mesh: the devices that images are split over; None: where the weights are.
    """

    sampler: str
    steps: str
    resamples: int | None
    mesh: Mesh | None


class KnownPixels(NamedTuple):
    """Pixels that inpainting keeps.

    Attributes:
        image: f32[1 h w 3] in [-1, 1], of all images, or f32[b h w 3].
        mask: f32[1 h w 1] or f32[b h w 1], 1 where the pixel is KEPT.
    """

    image: Array
    mask: Array


class InitialImage(NamedTuple):
    """An image to start from instead of noise (SDEdit, Meng et al. 2022, algorithm 1).

    Attributes:
        image: f32[1 h w 3] in [-1, 1], of all images, or f32[b h w 3].
        start: i32[], the first step taken, an index into the schedule of the steps to take.
    """

    image: Array
    start: Array


class SampleArguments(NamedTuple):
    """The arguments of a program beside the weights. A pytree; None: the program has no such part.

    Attributes:
        seed_key: key[], of this stage, or one for each image, key[b].
        indices: i32[b], which image of its seed each one is.
        condition: of b images, known pixels left out.
        null_condition: what classifier-free guidance leads away from, of b images or, where it is
            the same for all, of 1; None: no guidance, half the work.
        guidance: transforms of the denoiser, the innermost first, see `sampling.guidance`.
        eta, temperature: f32[], as in SamplingConfig.
        aug_level: f32[] or f32[b], as in SamplingConfig.
        known: pixels that inpainting keeps.
        initial: the image that sampling starts from.
        caching: when deep features are computed; None: the whole model is evaluated at every step.
    """

    seed_key: Array
    indices: Array
    condition: Condition
    null_condition: Condition | None
    guidance: tuple[Transform, ...]
    eta: Array
    temperature: Array
    aug_level: Array
    known: KnownPixels | None
    initial: InitialImage | None
    caching: CachingArguments | None


class LoopConstants(NamedTuple):
    """What is computed once, before the loop.

    Attributes:
        arguments: laid out over the mesh.
        encoded: the condition.
        stacked: the condition, and the null condition below it; None: no guidance.
        keys: key[b], of the images.
        prepared: what the model computes of its weights alone, see `Model.prepare`.
    """

    arguments: SampleArguments
    encoded: Encoded
    stacked: Encoded | None
    keys: Array
    prepared: Params


class Steps(NamedTuple):
    """Which steps are taken, and how.

    Attributes:
        trained: the schedule that the model was trained on, every step.
        taken: of the steps to take.
        make_sampler: eta → the sampler.
    """

    trained: Schedule
    taken: Schedule
    make_sampler: Callable[[Array | float], Sampler]


OnChunk = Callable[[int, int, np.ndarray], object]
"""(steps taken, of how many, x_0_hat: f32[b h w 3] of the last step) → ignored."""


@dataclasses.dataclass(frozen=True)
class Program:
    """The compiled parts of one stage's sampling.

    Attributes:
        num_steps: S, how many steps there are.
        begin: (params, SampleArguments) → (LoopConstants, Carry), jitted.
        advance: (params, LoopConstants, Carry, first: i32[], count: i32[]) → Carry, jitted: up to
            CHUNK steps.
        finish: x_0 → uint8[b h w 3], jitted.
    """

    num_steps: int
    begin: Callable[[Params, SampleArguments], tuple[LoopConstants, Carry]]
    advance: Callable[[Params, LoopConstants, Carry, Array, Array], Carry]
    finish: Callable[[Array], Array]

    def __call__(
        self,
        params: Params,
        arguments: SampleArguments,
        on_chunk: OnChunk | None = None,
        every: int = CHUNK,
    ) -> np.ndarray:
        """Sample a batch.

        Args:
            params: the weights.
            arguments: of the batch.
            on_chunk: called after every chunk; None: the device is never waited for.
            every: steps between two calls of on_chunk.

        Returns:
            uint8[b h w 3].
        """
        constants, carry = self.begin(params, arguments)
        initial = arguments.initial
        total = self.num_steps if initial is None else int(initial.start) + 1
        done, reported = 0, 0
        while done < total:
            until = total if on_chunk is None else min(total, reported + every)
            count = min(CHUNK, until - done)
            first = total - 1 - done
            carry = self.advance(params, constants, carry, jnp.int32(first), jnp.int32(count))
            done += count
            if on_chunk is not None and done == until:
                reported = done
                on_chunk(done, total, on_host(carry.x_0_hat).astype(np.float32))
        return np.asarray(self.finish(carry.x_t))


ProgramCache = Callable[[StaticArguments], Program]


def make_steps(diffusion: DiffusionConfig, sampler: str, steps: str) -> Steps:
    """Work out which steps are taken. Raises UserError where they can't be."""
    if sampler not in SAMPLERS:
        raise unknown_name("sampler", sampler, SAMPLERS)
    betas = BETAS[diffusion.schedule](diffusion.num_steps)
    taken = make_schedule(betas, kept_timesteps(steps, betas))
    return Steps(make_schedule(betas), taken, SAMPLERS[sampler])


def program_cache(model: Model, diffusion: DiffusionConfig) -> ProgramCache:
    """Build what gives the program of static arguments; the same arguments, the same program.

    Those that were not used for longest are forgotten, so that a server's memory stays bounded.

    Args:
        model: the stage's.
        diffusion: the noising process that the model was trained on.

    Returns:
        StaticArguments → Program. Raises UserError: the steps can't be taken, or there is no such
        sampler.
    """

    @functools.lru_cache(maxsize=MAX_PROGRAMS)
    def program(static: StaticArguments) -> Program:
        steps = make_steps(diffusion, static.sampler, static.steps)
        return _build(model, diffusion, steps, static)

    return program


def _build(
    model: Model, diffusion: DiffusionConfig, steps: Steps, static: StaticArguments
) -> Program:
    size, mesh = model.config.image_size, static.mesh

    def begin(params: Params, arguments: SampleArguments) -> tuple[LoopConstants, Carry]:
        arguments = _laid_out(arguments, mesh)
        keys = image_keys(arguments.seed_key, arguments.indices)
        condition = _augmented(model, arguments.condition, arguments.aug_level, keys)
        arguments = arguments._replace(condition=condition)
        x_T = arguments.temperature * initial_noise(keys, (size, size, IMAGE_CHANNELS))
        if arguments.initial is not None:
            x_T = q_sample(steps.taken, arguments.initial.start, arguments.initial.image, x_T)
        encoded, stacked = _encoded(model, params, arguments)
        prepared = _prepared(model, params, x_T, encoded, stacked)
        constants = LoopConstants(arguments, encoded, stacked, keys, prepared)
        kept = arguments.caching and batch_model(params, constants).no_features(x_T)
        return constants, settled(loop.begin(sampler_of(arguments), x_T, kept))

    def advance(
        params: Params, constants: LoopConstants, carry: Carry, first: Array, count: Array
    ) -> Carry:
        arguments = constants.arguments
        sampler, batch = sampler_of(arguments), batch_model(params, constants)
        denoiser = _denoiser(batch, arguments, steps.taken, sampler)
        run = sampler, denoiser, steps.taken, carry, first, count, constants.keys
        return settled(loop.advance(*run, length=min(CHUNK, steps.taken.num_steps)))

    def batch_model(params: Params, constants: LoopConstants) -> BatchModel:
        weights, conditions = params | constants.prepared, (constants.encoded, constants.stacked)
        return BatchModel(model, weights, diffusion.prediction, steps.trained, *conditions)

    def sampler_of(arguments: SampleArguments) -> Sampler:
        sampler = steps.make_sampler(arguments.eta)
        if static.resamples is None or arguments.known is None:
            return sampler
        return repaint(sampler, *arguments.known, static.resamples)

    def settled(carry: Carry) -> Carry:
        # After every chunk as before the first, or the second chunk would compile once more.
        return jax.tree.map(lambda x: _constrained(x, mesh, split=x.ndim == _IMAGE_NDIM), carry)

    def finish(x_0: Array) -> Array:
        images = jnp.round((jnp.clip(x_0, -1, 1) + 1) * 127.5).astype(jnp.uint8)
        return _constrained(images, mesh, split=False)

    return Program(steps.taken.num_steps, *map(jax.jit, (begin, advance, finish)))


def _constrained(x: Array, mesh: Mesh | None, *, split: bool) -> Array:
    if mesh is None:
        return x
    sharding = batch_sharding(mesh) if split else replicated(mesh)
    return jax.lax.with_sharding_constraint(x, sharding)


def _laid_out(arguments: SampleArguments, mesh: Mesh | None) -> SampleArguments:
    """The arguments with one row per image, the images split over the mesh."""
    b = arguments.indices.shape[0]
    known, initial = arguments.known, arguments.initial
    if known is not None:
        known = KnownPixels(*(_rows(part, b) for part in known))
    if initial is not None:
        initial = initial._replace(image=_rows(initial.image, b))
    per_image: Any = (arguments.indices, arguments.condition, known)
    indices, condition, known = jax.tree.map(lambda x: _constrained(x, mesh, split=True), per_image)
    return arguments._replace(indices=indices, condition=condition, known=known, initial=initial)


def _augmented(model: Model, condition: Condition, level: Array, keys: Array) -> Condition:
    """Noise-conditioning augmentation: noise on low_res, and its level for the model."""
    low_res = condition.low_res
    if low_res is None:
        return condition
    noise_of = functools.partial(augmentation_noise, keys)
    levels = jnp.broadcast_to(level, low_res.shape[:1])
    low_res, levels = augmented(low_res, levels, noise_of, model.enlarge)
    return dataclasses.replace(condition, low_res=low_res, aug_level=levels)


def _encoded(
    model: Model, params: Params, arguments: SampleArguments
) -> tuple[Encoded, Encoded | None]:
    """The condition encoded; and with the null condition below it, where there is guidance."""
    condition = arguments.condition
    if arguments.known is not None:
        # A model that was not trained to inpaint ignores it.
        image, mask = arguments.known
        condition = dataclasses.replace(condition, inpaint_image=image, inpaint_mask=mask)
    encoded = model.encode(params, condition)
    if arguments.null_condition is None:
        return encoded, None
    null = _encoded_null(model, params, arguments.null_condition, condition, encoded)
    return encoded, jax.tree.map(lambda *halves: jnp.concatenate(halves), encoded, null)


def _encoded_null(
    model: Model, params: Params, null: Condition, condition: Condition, encoded: Encoded
) -> Encoded:
    """The null condition encoded, once if it is the same for all; images are the condition's."""
    b = jax.tree.leaves(condition)[0].shape[0]
    if condition.low_res is not None:
        rows = jax.tree.leaves(null)[0].shape[0]
        images = {"low_res": condition.low_res, "aug_level": condition.aug_level}
        null = dataclasses.replace(null, **jax.tree.map(lambda x: x[:rows], images))
    text = model.encode(params, null)._replace(extra_channels=None)
    text = jax.tree.map(lambda x: _rows(x, b), text)
    return text._replace(extra_channels=encoded.extra_channels)


def _prepared(
    model: Model, params: Params, x_T: Array, encoded: Encoded, stacked: Encoded | None
) -> Params:
    """What the model prepares of its weights for the evaluations of every step."""
    x_t = x_T if stacked is None else jnp.concatenate([x_T, x_T])
    t = jnp.zeros(len(x_t), jnp.int32)
    return model.prepare(params, x_t, t, encoded if stacked is None else stacked)


def _denoiser(
    batch: BatchModel, arguments: SampleArguments, taken: Schedule, sampler: Sampler
) -> Denoiser | CachedDenoiser:
    """The model's denoiser, guided; and its deep features, where they are kept."""
    guided = functools.partial(batch.guided, arguments.guidance, sampler.gradient_shifts)
    if arguments.caching is None:
        return guided()
    initial = arguments.initial
    first = jnp.int32(taken.num_steps - 1) if initial is None else initial.start
    return CachedDenoiser(batch.features(arguments.caching, taken, first), guided)


def _rows(x: Array, b: int) -> Array:
    return jnp.broadcast_to(x, (b, *x.shape[1:]))
