"""A request, run: part after part, stage after stage, batch after batch. Every image of the project
is sampled here.

SampleRequest ─ run_request ─ parts ─ stages: _run_stage ─ batches: Program ─→ uint8[n s s 3]
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glide_jax.config import SamplingConfig
from glide_jax.sampling.batching import (
    ImageBatch,
    batch_size,
    batches,
    prompts_in_a_part,
    shared_evenly,
)
from glide_jax.sampling.denoising import CachingArguments
from glide_jax.sampling.guidance import GuidanceInputs, LogProbability, transforms_of
from glide_jax.sampling.guides import ClipGuide
from glide_jax.sampling.program import (
    InitialImage,
    KnownPixels,
    SampleArguments,
    StaticArguments,
    make_steps,
)
from glide_jax.sampling.request import SampleRequest, Settings, StageEdit, Subject, stage_key
from glide_jax.sampling.stages import Stage, condition_of, null_condition_of

BatchSlot = tuple[int, int]
"""(images in a batch, the slot of one of them)."""

Guides = Callable[[Sequence[Subject]], tuple[LogProbability, ...]]
"""The subjects of a batch → whose gradients guide it."""


class SamplingProgress(NamedTuple):
    """How far sampling is, and what the images look like so far.

    Attributes:
        stage: its name.
        image_size: pixels a side.
        batch, num_batches: which of the stage's batches this is, from 1, and of how many.
        step, num_steps: steps taken of this batch, and of how many.
        x_0_hat: f32[b s s 3] in about [-1, 1], the model's estimate of the images.
    """

    stage: str
    image_size: int
    batch: int
    num_batches: int
    step: int
    num_steps: int
    x_0_hat: np.ndarray


OnProgress = Callable[[SamplingProgress], object]


class Progress(NamedTuple):
    """Who is shown the progress.

    Attributes:
        callback: None: nobody, and the device is never waited for.
        every: steps between two calls.
    """

    callback: OnProgress | None
    every: int


class _Shown(NamedTuple):
    """How the batches of a stage are counted for those who are shown the progress.

    Attributes:
        progress: who is.
        ahead: batches in the parts before.
        total: batches in all parts.
    """

    progress: Progress
    ahead: int
    total: int


class RunResult(NamedTuple):
    """What a request became, or a part of it.

    Attributes:
        stages: uint8[n s s 3] for each stage that sampled.
        rows: which rows of the request the n images are.
        batch_slots: of each image, one for each stage.
    """

    stages: tuple[np.ndarray, ...]
    rows: tuple[int, ...]
    batch_slots: tuple[tuple[BatchSlot, ...], ...]


def no_guides(subjects: Sequence[Subject]) -> tuple[LogProbability, ...]:
    """No gradient guides."""
    return ()


def run_request(
    request: SampleRequest,
    stages: Sequence[Stage],
    guides: Guides,
    clip: ClipGuide | None,
    progress: Progress,
) -> Iterator[RunResult]:
    """Sample what was asked for: part after part, each stage after stage.

    A part is of whole batches of every stage, so that its images are what they would be if all
    were sampled by one stage before the next.

    Args:
        request: checked.
        stages: all of the pipeline's.
        guides: of the first stage.
        clip: scores the images, where only the best are kept.
        progress: who is shown it.

    Raises:
        UserError: a stage can't sample what was asked for.
    """
    sampling = stages[request.first_stage :]
    sizes = _batch_sizes(request, sampling)
    ahead = [0] * len(sampling)  # batches of each stage in the parts before
    for rows in _parts(request, sizes):
        slots: list[tuple[BatchSlot, ...]] = [()] * len(rows)
        images: list[np.ndarray] = []
        low_res = None if request.low_res is None else request.low_res[rows]
        for place, stage in enumerate(sampling):
            own = _of_stage(request, stage, place, rows, low_res)
            cut = _cut(own, sizes[place])
            total = -(-_images_at(request, place) // sizes[place])
            shown = _Shown(progress, ahead[place], total)
            low_res = _run_stage(stage, own, guides if place == 0 else no_guides, cut, shown)
            ahead[place] += len(cut)
            images.append(low_res)
            kept = [(len(batch.slots), slot) for batch in cut for slot in batch.kept]
            slots = [(*before, slot) for before, slot in zip(slots, kept, strict=True)]
            if place == 0 and request.rerank and clip:
                best = _best(own, request.rerank, clip, low_res)
                rows, slots = [rows[i] for i in best], [slots[i] for i in best]
                low_res = images[0] = low_res[best]
        yield RunResult(tuple(images), tuple(rows), tuple(slots))


def _images_at(request: SampleRequest, place: int) -> int:
    """How many images of a request the `place`-th stage samples."""
    count = len(request.subjects)
    if place == 0 or request.rerank is None:
        return count
    kept, sampled = request.rerank
    return count // sampled * kept


def _batch_sizes(request: SampleRequest, stages: Sequence[Stage]) -> list[int]:
    """Of each stage that samples."""
    if request.batch_slots is not None:
        pairs = zip(request.batch_slots, stages, strict=True)
        # On as many devices as before it is even already.
        return [shared_evenly(size, stage.num_devices) for (size, _), stage in pairs]
    most = [request.settings.sampling, *(stage.config.sampling for stage in stages[1:])]
    return [
        batch_size(_images_at(request, place), most[place].batch_size, stage.num_devices)
        for place, stage in enumerate(stages)
    ]


def _parts(request: SampleRequest, sizes: Sequence[int]) -> Iterator[list[int]]:
    """The rows of each part."""
    rows, part = list(range(len(request.subjects))), len(request.subjects)
    # Where some are guided and others are not, all run the program of those that are.
    if request.batch_slots is None and len(set(request.settings.guidance_scales)) == 1:
        kept, sampled = request.rerank or (1, 1)
        part = sampled * prompts_in_a_part([sampled, *[kept] * (len(sizes) - 1)], sizes)
    for start in range(0, len(rows), part):
        yield rows[start : start + part]


def steps_of(request: SampleRequest, stages: Sequence[Stage]) -> tuple[int, ...]:
    """How many steps each stage that samples takes of a batch, known before it is run."""
    counts = []
    for place, stage in enumerate(stages[request.first_stage :]):
        sampling = request.settings.sampling if place == 0 else stage.config.sampling
        schedule = make_steps(stage.config.diffusion, sampling.sampler, sampling.steps).taken
        initial = request.edit(place).initial
        counts.append(
            schedule.num_steps if initial is None else _taken(initial[1], schedule.num_steps)
        )
    return tuple(counts)


def _taken(strength: float, num_steps: int) -> int:
    """Of so many steps those that start from an image takes."""
    return max(1, round(strength * num_steps))


def _of_stage(
    request: SampleRequest,
    stage: Stage,
    place: int,
    rows: Sequence[int],
    low_res: np.ndarray | None,
) -> SampleRequest:
    """The part of a request that is the `place`-th stage's, for the rows that are kept.

    What was chosen is the first stage's; the others sample as their configs say.
    """
    edit, settings = request.edit(place), request.settings
    if place > 0:
        inpaints = edit.known is not None
        sampling = stage.inpaint_sampling if inpaints else stage.config.sampling
        scales = (sampling.guidance_scale,) * len(request.subjects)
        settings = Settings(sampling, scales, None, None)
    scales = tuple(settings.guidance_scales[i] for i in rows)
    return dataclasses.replace(
        request,
        subjects=tuple(request.subjects[i] for i in rows),
        indices=tuple(request.indices[i] for i in rows),
        seeds=tuple(request.seeds[i] for i in rows),
        settings=dataclasses.replace(settings, guidance_scales=scales),
        first_stage=request.first_stage + place,
        low_res=low_res,
        edits=(edit.of_rows(rows),),
        batch_slots=request.batch_slots and (request.batch_slots[place],),
    )


def _run_stage(
    stage: Stage,
    request: SampleRequest,
    guides: Guides,
    cut: Sequence[ImageBatch],
    shown: _Shown,
) -> np.ndarray:
    """Sample one stage's images: uint8[k s s 3], of the slots that are kept."""
    sampling, known = request.settings.sampling, request.edit(0).known
    # A model that was not trained to inpaint does by RePaint.
    resamples = sampling.resamples if known is not None and not stage.inpaints else None
    static = StaticArguments(sampling.sampler, sampling.steps, resamples, stage.mesh)
    program = stage.program(static)
    sampled = []
    for number, batch in enumerate(cut, shown.ahead + 1):
        arguments = _arguments(stage, request, guides, batch, static, program.num_steps)
        report = _reporter(shown.progress.callback, stage, number, shown.total)
        images = program(stage.params, arguments, report, shown.progress.every)
        sampled.append(images[list(batch.kept)])
    return np.concatenate(sampled)


def _arguments(
    stage: Stage,
    request: SampleRequest,
    guides: Guides,
    batch: ImageBatch,
    static: StaticArguments,
    num_steps: int,
) -> SampleArguments:
    slots, settings = list(batch.slots), request.settings
    edit = request.edit(0).of_rows(slots)
    sampling = settings.sampling
    subjects = [request.subjects[i] for i in slots]
    low_res = None if request.low_res is None else request.low_res[slots]
    scales = [settings.guidance_scales[i] for i in slots]
    # Of all the images: every batch of one request runs the same program.
    guided = any(scale != 1 for scale in settings.guidance_scales) and not stage.guidance_range
    known = edit.known and KnownPixels(*map(jnp.asarray, edit.known))
    transforms = transforms_of(
        GuidanceInputs(
            sampling=sampling,
            scales=jnp.float32(scales) if guided else None,
            known=known if static.resamples is None else None,
            log_probabilities=guides(subjects),
        )
    )
    return SampleArguments(
        seed_key=_seed_keys([request.seeds[i] for i in slots], request.first_stage),
        indices=jnp.asarray([request.indices[i] for i in slots], jnp.int32),
        condition=condition_of(stage, subjects, low_res, scales),
        null_condition=null_condition_of(stage, subjects) if guided else None,
        guidance=transforms,
        eta=jnp.float32(sampling.eta),
        temperature=jnp.float32(sampling.temperature),
        aug_level=jnp.float32(sampling.aug_level),
        known=known,
        initial=_initial(edit, num_steps),
        caching=_caching(sampling, guided=guided),
    )


def _seed_keys(seeds: Sequence[int], place: int) -> jax.Array:
    """key[b]"""
    of = {seed: stage_key(seed, place) for seed in set(seeds)}
    return jnp.stack([of[seed] for seed in seeds])


def _initial(edit: StageEdit, num_steps: int) -> InitialImage | None:
    if edit.initial is None:
        return None
    image, strength = edit.initial
    return InitialImage(jnp.asarray(image), jnp.int32(_taken(strength, num_steps) - 1))


def _caching(sampling: SamplingConfig, *, guided: bool) -> CachingArguments | None:
    if sampling.cache_interval == 1:
        return None
    partly = guided and not sampling.is_guided_everywhere
    interval = jnp.float32(sampling.guidance_interval) if partly else None
    return CachingArguments(jnp.int32(sampling.cache_interval), interval)


def _reporter(callback: OnProgress | None, stage: Stage, batch: int, num_batches: int):
    if callback is None:
        return None

    def report(step: int, num_steps: int, x_0_hat: np.ndarray) -> None:
        callback(
            SamplingProgress(
                stage.name, stage.image_size, batch, num_batches, step, num_steps, x_0_hat
            )
        )

    return report


def _cut(request: SampleRequest, size: int) -> Sequence[ImageBatch]:
    if request.batch_slots is None:
        return batches(len(request.subjects), size)
    ((_, slot),) = request.batch_slots
    return [ImageBatch((0,) * size, (slot,))]


def _best(
    request: SampleRequest, rerank: tuple[int, int], clip: ClipGuide, images: np.ndarray
) -> list[int]:
    """The rows of the images that are kept, the best of a prompt first."""
    kept, sampled = rerank
    scores = clip.score([subject.prompt for subject in request.subjects], images)
    by_prompt = scores.reshape(-1, sampled)
    best = np.argsort(-by_prompt, axis=1, kind="stable")[:, :kept]
    return (best + sampled * np.arange(len(by_prompt))[:, None]).flatten().tolist()
