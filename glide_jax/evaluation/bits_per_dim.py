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
from glide_jax.errors import UserError
from glide_jax.evaluation.figure import Evaluation
from glide_jax.models.model import Encoded
from glide_jax.parallel.mesh import batch_sharding
from glide_jax.sampling.batching import batches
from glide_jax.sampling.request import Subject, stage_key
from glide_jax.sampling.run import OnProgress, SamplingProgress
from glide_jax.sampling.stages import Stage, condition_of
from glide_jax.training.objectives.denoising import mean_blocks
from glide_jax.types import Array, Condition, Params

NUM_IMAGES = 64
"""Images of a split, where no other number is asked for."""

_SPLITS = ("test",)
"""Where the config has no `evaluation`."""

_CHUNK = 25
"""Steps between two calls of on_progress."""

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


def figure(evaluation: Evaluation) -> dict[str, Any]:
    """Bits/dim of each split's first images under the first stage (Nichol & Dhariwal 2021).

    L_vlb (their sec. 2.1; Ho et al. 2020, eq. 5) over all T steps of the noising process, one
    sample of noise for each step and image, with x_0_hat clipped to [-1, 1] as in their code; by
    the model's learned variance, or without one by the posterior's. An upsampler is conditioned on
    the image's own reduction, without augmentation.

    Returns:
        {"bits_per_dim": {split: {total, standard_error of its mean over images, prior, x_0_mse and
        eps_mse, means over steps; images, num_broken, steps, and the model's stage and step}}}.

    Raises:
        UserError: the data set lacks a split, or has neither captions nor labels for the model.
    """
    experiment, stage = evaluation.experiment, evaluation.pipeline.stages[0]
    if evaluation.num_images is not None and evaluation.num_images < 1:
        raise UserError(f"num_images must be 1 or more, not {evaluation.num_images}")
    configured = experiment.evaluation.splits if experiment.evaluation else _SPLITS
    name, path = experiment.data.source, experiment.data.path
    data.prepare(name, path)
    found = {}
    for split in evaluation.splits or configured:
        source = data.open_source(name, path, split)
        images = read_images(source, stage, evaluation.num_images or NUM_IMAGES)
        bits = bits_of(stage, images, experiment.seed, evaluation.on_progress)
        found[split] = _summary(bits, images, stage)
        evaluation.log(_line(split, found[split]))
    return {"bits_per_dim": found}


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


def bits_of(
    stage: Stage, images: Images, seed: int, on_progress: OnProgress | None
) -> dict[str, np.ndarray]:
    """The bound of each image, summed over the steps.

    Image j is a function of (seed, j), the weights and its conditioning, not of the batches.

    Args:
        stage: the model.
        images: n of them.
        seed: of the noise.
        on_progress: called after every few steps; None: nobody is shown it.

    Returns:
        total, prior: f64[n], bits per dimension; x_0_mse, eps_mse: f64[n], means over the steps.
    """
    schedule = _schedule(stage)
    chunk, encode = _compiled(stage, schedule), jax.jit(stage.model.encode)
    prepare = jax.jit(stage.model.prepare)
    cut = batches(len(images.subjects), stage.config.sampling.batch_size, stage.num_devices)
    rows: dict[str, list[np.ndarray]] = {}
    for number, batch in enumerate(cut, 1):
        slots = list(batch.slots)
        x_0 = _split(jnp.asarray(to_float(images.pixels[slots])), stage)
        keys = image_keys(stage_key(seed, 0), slots)
        encoded = encode(stage.params, _condition(stage, images, slots, x_0, keys))
        t = jnp.zeros(len(slots), jnp.int32)
        weights = stage.params | prepare(stage.params, x_0, t, encoded)
        sums = {name: np.zeros(len(slots)) for name in ("vlb", "x_0_mse", "eps_mse")}
        for first in range(0, schedule.num_steps, _CHUNK):
            terms = chunk(weights, encoded, x_0, keys, jnp.int32(first))
            sums = {
                name: total + np.asarray(terms[name], np.float64) for name, total in sums.items()
            }
            if on_progress is not None:
                done = min(first + _CHUNK, schedule.num_steps)
                at = (stage.name, stage.image_size, number, len(cut), done, schedule.num_steps)
                on_progress(SamplingProgress(*at, np.asarray(x_0)))
        prior = np.asarray(prior_bits(schedule, x_0), np.float64)
        means = {name: sums[name] / schedule.num_steps for name in ("x_0_mse", "eps_mse")}
        for name, values in {"total": sums["vlb"] + prior, "prior": prior, **means}.items():
            rows.setdefault(name, []).append(values[list(batch.kept)])
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _schedule(stage: Stage) -> Schedule:
    diffusion = stage.config.diffusion
    return make_schedule(BETAS[diffusion.schedule](diffusion.num_steps))


def _compiled(stage: Stage, schedule: Schedule) -> Chunk:
    """(params, encoded, x_0, keys, first) → sums of the bound's terms over _CHUNK steps."""
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
            # The last chunk may go beyond the last step, which counts nothing there.
            terms = bound_term(
                denoiser, schedule, jnp.minimum(i, schedule.num_steps - 1), x_0, noise
            )
            return None, {k: jnp.where(i < schedule.num_steps, v, 0.0) for k, v in terms.items()}

        _, terms = jax.lax.scan(term, None, first + jnp.arange(_CHUNK))
        return {name: values.sum(axis=0) for name, values in terms.items()}

    return chunk


def _condition(
    stage: Stage, images: Images, slots: Sequence[int], x_0: Array, keys: Array
) -> Condition:
    condition = condition_of(stage, [images.subjects[slot] for slot in slots], None)
    if stage.low_res_size:
        low_res, level = augmented(
            mean_blocks(x_0, stage.low_res_size),
            jnp.zeros(len(slots)),
            functools.partial(augmentation_noise, keys),
            stage.model.enlarge,
        )
        condition = dataclasses.replace(condition, low_res=low_res, aug_level=level)
    return jax.tree.map(functools.partial(_split, stage=stage), condition)


def _split(x: Array, stage: Stage) -> Array:
    """The rows, shared by the devices that the weights are on."""
    return x if stage.mesh is None else jax.device_put(x, batch_sharding(stage.mesh))


def _summary(bits: dict[str, np.ndarray], images: Images, stage: Stage) -> dict[str, Any]:
    total, count = bits["total"], len(images.subjects)
    error = float(total.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    return {
        **{name: float(values.mean()) for name, values in bits.items()},
        "standard_error": error,
        "images": count,
        "num_broken": images.num_broken,
        "steps": stage.config.diffusion.num_steps,
        "stage": stage.name,
        "step": stage.step,
    }


def _line(split: str, found: dict[str, Any]) -> str:
    error = found["standard_error"]
    spread = "" if error is None else f" ± {error:.4f}"
    broken = f" ({found['num_broken']} can't be read)" if found["num_broken"] else ""
    return (
        f"{split}, {found['images']} images{broken}: {found['total']:.4f}{spread} bits/dim over "
        f"{found['steps']:,} steps"
    )
