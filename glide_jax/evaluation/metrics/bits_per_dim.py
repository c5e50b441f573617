"""Bits per dimension: the variational bound on what held-out images cost, over every step.

Source ─ examples ─→ x_0, condition ─ chunk of steps at a time: diffusion.losses.bound_term ─→ bits
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax import data
from glide_jax.data.images import BrokenImage, square, to_float
from glide_jax.data.source import Example, Source
from glide_jax.diffusion.augmentation import augmented
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import clip_x_0
from glide_jax.diffusion.losses import bound_term, prior_bits
from glide_jax.diffusion.sample import augmentation_noise, image_keys, step_noise
from glide_jax.diffusion.schedule import BETAS, Schedule, make_schedule
from glide_jax.encoders.placing import on_devices
from glide_jax.errors import UserError
from glide_jax.evaluation.metric import Evaluation, Result, Value
from glide_jax.evaluation.metrics.per_image import mean
from glide_jax.models.model import Encoded
from glide_jax.parallel.collectives import on_host
from glide_jax.parallel.mesh import batch_sharding
from glide_jax.sampling.batching import batch_size, batches
from glide_jax.sampling.request import Subject, stage_key
from glide_jax.sampling.run import OnProgress, SamplingProgress
from glide_jax.sampling.stages import Stage, condition_of
from glide_jax.training.objectives.denoising import mean_blocks
from glide_jax.types import Array, Condition, Params

NUM_IMAGES = 64
"""Images of a split, where no other number is asked for."""

_CHUNK = 25
"""Steps between two calls of on_progress."""

TERMS = ("vlb", "x_0_mse", "eps_mse")
"""What is found at each step, see `diffusion.losses.bound_term`."""

Terms = dict[str, Array]
Chunk = Callable[[Params, Encoded, Array, Array, Array], Terms]


class Images(NamedTuple):
    """Images with what their model is conditioned on.

    Attributes:
        pixels: uint8[n s s 3].
        subjects: n of them.
        num_broken: how many images before the last one could not be read, and were left out.
    """

    pixels: np.ndarray
    subjects: tuple[Subject, ...]
    num_broken: int


class Bits(NamedTuple):
    """The bound of n images over T steps, in bits per dimension.

    Attributes:
        total, prior: f64[n], each image's.
        x_0_mse, eps_mse: f64[n], means over the steps.
        by_step: for each of TERMS f64[T], means over the images; step t is at index t.
    """

    total: np.ndarray
    prior: np.ndarray
    x_0_mse: np.ndarray
    eps_mse: np.ndarray
    by_step: dict[str, np.ndarray]


def metric(evaluation: Evaluation) -> Result:
    """Bits/dim of a split's first images under the first stage (Nichol & Dhariwal 2021).

    L_vlb (their sec. 2.1; Ho et al. 2020, eq. 5) over all T steps of the noising process, one
    sample of noise for each step and image, with x_0_hat clipped to [-1, 1] as in their code; by
    the model's learned variance, or without one by the posterior's. An upsampler is conditioned on
    the image's own reduction, without augmentation.

    Returns:
        `bits_per_dim`, its prior, and x_0_mse and eps_mse, means over the steps. The details have
        the same by timestep, means over the images: `vlb` adds up to bits_per_dim less the prior.

    Raises:
        UserError: the data set lacks the split, or has neither captions nor labels for the model.
    """
    model = evaluation.model
    assert model is not None
    stage, experiment = model.pipeline.stages[0], model.experiment
    name, path = experiment.data.source, experiment.data.path
    source = data.open_prepared(name, path, model.split)
    images = read_images(source, stage, model.num_images or NUM_IMAGES)
    bits = bits_of(stage, images, evaluation.seed, evaluation.on_progress)
    return _result(bits, images, stage)


def read_images(source: Source, stage: Stage, count: int) -> Images:
    """A split's first images, at the stage's size; those that can't be read are left out.

    Args:
        source: the split.
        stage: which is conditioned on the first caption, the label or nothing.
        count: of images, at most.

    Raises:
        UserError: no image can be read, or one has no label and the stage needs one.
    """
    num_classes = getattr(stage.model.config, "num_classes", 0)
    examples: list[Example] = []
    num_broken = 0
    for i in range(len(source)):
        if len(examples) == count:
            break
        try:
            examples.append(source[i])
        except BrokenImage:
            num_broken += 1
    if not examples:
        raise UserError("none of the split's images can be read: choose another --split")
    if num_classes and any(example.label is None for example in examples):
        raise UserError("the data set has no labels, and this model needs the classes of images")
    subjects = tuple(
        Subject(
            prompt=example.captions[0] if stage.reader and example.captions else "",
            label=example.label if num_classes else None,
        )
        for example in examples
    )
    pixels = np.stack([square(example.image, stage.image_size) for example in examples])
    return Images(pixels, subjects, num_broken)


def bits_of(stage: Stage, images: Images, seed: int, on_progress: OnProgress | None) -> Bits:
    """The bound of each image, summed over the steps, and of each step, averaged over the images.

    Image j is a function of (seed, j), the weights and its conditioning, not of the batches.

    Args:
        stage: the model.
        images: n of them.
        seed: of the noise.
        on_progress: called after every few steps; None: nobody is shown it.
    """
    schedule = _schedule(stage)
    chunk, encode = _compiled(stage, schedule), jax.jit(stage.model.encode)
    prepare = jax.jit(stage.model.prepare)
    count = len(images.subjects)
    size = batch_size(count, stage.config.sampling.batch_size, stage.num_devices)
    cut = batches(count, size)
    rows: dict[str, list[np.ndarray]] = {}
    by_step = {name: np.zeros(schedule.num_steps) for name in TERMS}
    for number, batch in enumerate(cut, 1):
        slots, kept = list(batch.slots), list(batch.kept)
        x_0 = _split(jnp.asarray(to_float(images.pixels[slots])), stage)
        keys = image_keys(stage_key(seed, 0), slots)
        encoded = encode(stage.params, _condition(stage, images, slots, x_0, keys))
        t = jnp.zeros(len(slots), jnp.int32)
        weights = stage.params | prepare(stage.params, x_0, t, encoded)
        sums = {name: np.zeros(len(kept)) for name in TERMS}
        for first in range(0, schedule.num_steps, _CHUNK):
            done = min(first + _CHUNK, schedule.num_steps)
            terms = chunk(weights, encoded, x_0, keys, jnp.int32(first))
            for name in TERMS:
                values = on_host(terms[name]).astype(np.float64)[: done - first, kept]
                sums[name] += values.sum(0)
                by_step[name][first:done] += values.sum(1)
            if on_progress is not None:
                at = (stage.name, stage.image_size, number, len(cut), done, schedule.num_steps)
                on_progress(SamplingProgress(*at, on_host(x_0)))
        prior = on_host(prior_bits(schedule, x_0)).astype(np.float64)[kept]
        means = {name: sums[name] / schedule.num_steps for name in ("x_0_mse", "eps_mse")}
        for name, values in {"total": sums["vlb"] + prior, "prior": prior, **means}.items():
            rows.setdefault(name, []).append(values)
    count = len(images.subjects)
    return Bits(
        **{name: np.concatenate(parts) for name, parts in rows.items()},
        by_step={name: values / count for name, values in by_step.items()},
    )


def _schedule(stage: Stage) -> Schedule:
    diffusion = stage.config.diffusion
    return make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))


def _compiled(stage: Stage, schedule: Schedule) -> Chunk:
    """(params, encoded, x_0, keys, first) → the bound's terms at _CHUNK steps: f32[_CHUNK b]."""
    model, prediction = stage.model, stage.config.diffusion.prediction

    @jax.jit
    def chunk(params: Params, encoded: Encoded, x_0: Array, keys: Array, first: Array) -> Terms:
        denoiser = clip_x_0(
            denoiser_from(
                lambda x_t, t: model.apply(params, x_t, t, encoded), schedule, prediction
            ),
            schedule,
        )

        def term(_, i: Array):
            noise = step_noise(keys, i, x_0.shape[1:])
            # The last chunk may go beyond the last step; that is not read.
            last = schedule.num_steps - 1
            return None, bound_term(denoiser, schedule, jnp.minimum(i, last), x_0, noise)

        return jax.lax.scan(term, None, first + jnp.arange(_CHUNK))[1]

    return chunk


def _condition(
    stage: Stage, images: Images, slots: Sequence[int], x_0: Array, keys: Array
) -> Condition:
    subjects = [images.subjects[slot] for slot in slots]
    # Of a model that is conditioned on the guidance scale, the bound of the unguided one.
    scale = max((1.0, *stage.guidance_range[:1]))
    condition = condition_of(stage, subjects, None, [scale] * len(slots))
    if stage.low_res_size:
        low_res, level = augmented(
            mean_blocks(x_0, stage.low_res_size),
            jnp.zeros(len(slots)),
            functools.partial(augmentation_noise, keys),
            stage.model.enlarge,
        )
        condition = dataclasses.replace(condition, low_res=low_res, aug_level=level)
    return jax.tree.map(functools.partial(_split, stage=stage), condition)


def _split(x: Any, stage: Stage) -> Array:
    """The rows, shared by the devices that the weights are on."""
    return x if stage.mesh is None else on_devices(np.asarray(x), batch_sharding(stage.mesh))


def _result(bits: Bits, images: Images, stage: Stage) -> Result:
    summary = {
        "bits_per_dim": bits.total,
        "bits_per_dim_prior": bits.prior,
        "x_0_mse": bits.x_0_mse,
        "eps_mse": bits.eps_mse,
    }
    few = len(images.subjects) < 2
    return Result(
        values={n: Value(float(v.mean())) if few else mean(v) for n, v in summary.items()},
        details={
            "images": len(images.subjects),
            "num_broken": images.num_broken,
            "steps": stage.config.diffusion.num_steps,
            "stage": stage.name,
            "step": stage.step,
            "by_timestep": {
                name: [float(f"{value:.6g}") for value in values]
                for name, values in bits.by_step.items()
            },
        },
        notes=(f"{images.num_broken} images can't be read",) * bool(images.num_broken),
    )
