"""One stage draws: what it is asked for, cut into batches, its program run on each.

Every picture of the project is drawn by `draw_stage`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from glide_jax.config import SamplingConfig
from glide_jax.pipelines.batching import Batch, batches
from glide_jax.pipelines.inputs import Begin, Inputs, Known, LogProbability, Towards, Way
from glide_jax.pipelines.settings import Settings
from glide_jax.pipelines.stage import Stage, Subject, condition_of, null_condition_of
from glide_jax.types import Array

REPAINT_RESAMPLES = 10
"""How often RePaint does a step where nobody says (Lugmayr et al. 2022, sec. 5)."""

Guides = Callable[[Sequence[Subject]], tuple[LogProbability, ...]]
"""A batch's subjects → whose gradients guide it."""


class Step(NamedTuple):
    """What `on_step` is told: how far the drawing is, and what it looks like.

    Attributes:
        size: pixels a side, by which stages are told apart.
        batch, num_batches: which of the stage's batches this is, from 1, and of how many.
        step, num_steps: steps done of this batch, and of how many.
        pictures: f32[b s s 3] in about [-1, 1], what x_0 is taken to be.
    """

    size: int
    batch: int
    num_batches: int
    step: int
    num_steps: int
    pictures: np.ndarray


OnStep = Callable[[Step], object]


@dataclasses.dataclass(frozen=True)
class Edit:
    """What of a stage's picture is there before it draws.

    Attributes:
        known: (image: f32[1 s s 3] in [-1, 1], mask: f32[1 s s 1], 1 where KEPT), or None.
        begin: (image: f32[1 s s 3] in [-1, 1], strength in (0, 1]: the share of the steps that are
            taken, from the image noised to the first of them), or None.
    """

    known: tuple[np.ndarray, np.ndarray] | None = None
    begin: tuple[np.ndarray, float] | None = None


def no_guides(subjects: Sequence[Subject]) -> tuple[LogProbability, ...]:
    """Nobody's gradient guides."""
    return ()


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a stage is asked for, each picture in its row.

    Attributes:
        seed_key: key[], of this stage.
        subjects: what each picture is to be of.
        indices: each picture's number i: it is a function of (seed, i), and of what it is to be.
        guidance_scales: each picture's; None: as the settings or the config say.
        low_res: uint8[n s s 3], what to enlarge; None: it is no upsampler.
        edit: what is there before.
        guides: whose gradients guide.
    """

    seed_key: Array
    subjects: Sequence[Subject]
    indices: Sequence[int]
    guidance_scales: Sequence[float] | None = None
    low_res: np.ndarray | None = None
    edit: Edit = Edit()
    guides: Guides = no_guides


def draw_stage(
    stage: Stage,
    asked: Asked,
    settings: Settings,
    cut: Sequence[Batch],
    on_step: OnStep | None = None,
) -> np.ndarray:
    """Draw one stage's pictures.

    Args:
        stage: which.
        asked: of n pictures.
        settings: in the place of the config's.
        cut: into batches, see `batches_of`.
        on_step: told of every step; None: the device is left to itself until all are taken.

    Returns:
        uint8[k s s 3], of what the batches keep.

    Raises:
        UserError: what is asked is none of what this stage draws, or a setting makes no sense.
    """
    sampling = sampling_of(stage, asked.edit, settings)
    program = stage.draw(_way(stage, asked.edit, settings, sampling))
    drawn = []
    for place, batch in enumerate(cut, 1):
        inputs = _inputs(stage, asked, settings, sampling, batch)
        inputs = inputs._replace(begin=_begin(asked.edit, program.num_steps))
        tell = on_step and _telling(on_step, stage.size, place, len(cut), program.num_steps)
        drawn.append(program(stage.params, inputs, tell)[list(batch.kept)])
    return np.concatenate(drawn)


def sampling_of(stage: Stage, edit: Edit, settings: Settings) -> SamplingConfig:
    """How the stage draws, all told. Raises UserError for a setting that makes no sense."""
    if edit.known is not None and settings.sampler is None:
        # GLIDE's inpainting and RePaint are both ancestral sampling: what is drawn and what is
        # known meet in the noise.
        settings = dataclasses.replace(settings, sampler="ddpm")
    return settings.over(stage.config.sampling)


def batches_of(stage: Stage, count: int, settings: Settings) -> list[Batch]:
    """The batches in which a stage draws so many pictures."""
    size = settings.over(stage.config.sampling).batch_size
    return batches(count, size, stage.num_devices)


def _way(stage: Stage, edit: Edit, settings: Settings, sampling: SamplingConfig) -> Way:
    resamples = None
    if edit.known is not None and not stage.inpaints:
        # An upsampler need not try again: what it enlarges is whole already.
        resamples = settings.resamples or (1 if stage.low_res_size else REPAINT_RESAMPLES)
    return Way(sampling.sampler, sampling.steps, resamples, stage.mesh)


def _inputs(
    stage: Stage, asked: Asked, settings: Settings, sampling: SamplingConfig, batch: Batch
) -> Inputs:
    slots = list(batch.slots)
    subjects = [asked.subjects[i] for i in slots]
    low_res = None if asked.low_res is None else asked.low_res[slots]
    scales = asked.guidance_scales or [sampling.guidance_scale] * len(asked.subjects)
    # Looked for in all the pictures: every batch of one request runs one program.
    guided = any(scale != 1 for scale in scales)
    interval, quantile = settings.guidance_interval, settings.dynamic_threshold
    return Inputs(
        seed_key=asked.seed_key,
        indices=jnp.asarray([asked.indices[i] for i in slots], jnp.int32),
        condition=condition_of(stage, subjects, low_res),
        towards=Towards(
            null=null_condition_of(stage, subjects),
            scale=jnp.float32([scales[i] for i in slots]),
            interval=None if interval is None else jnp.float32(interval),
        )
        if guided
        else None,
        quantile=None if quantile is None else jnp.float32(quantile),
        eta=jnp.float32(sampling.eta),
        temperature=jnp.float32(sampling.temperature),
        low_res_noise=jnp.float32(sampling.low_res_noise),
        known=asked.edit.known and Known(*map(jnp.asarray, asked.edit.known)),
        begin=None,
        log_probabilities=asked.guides(subjects),
    )


def _begin(edit: Edit, num_steps: int) -> Begin | None:
    if edit.begin is None:
        return None
    image, strength = edit.begin
    taken = max(1, round(strength * num_steps))
    return Begin(jnp.asarray(image), jnp.int32(taken - 1))


def _telling(on_step: OnStep, size: int, batch: int, num_batches: int, num_steps: int):
    def tell(step: int, pictures: np.ndarray) -> None:
        on_step(Step(size, batch, num_batches, step, num_steps, pictures))

    return tell
