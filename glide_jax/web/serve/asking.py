"""From a checked JSON object to a Job: images are looked up, the settings resolved."""

import io
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException

from glide_jax.errors import UserError
from glide_jax.evaluation.settings import with_settings
from glide_jax.sampling import tasks
from glide_jax.sampling.images import Frame, joined, opaque_pixels, plane_of, read_image
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.request import (
    EDIT,
    INPAINT,
    SAMPLE,
    UPSAMPLE,
    SampleRequest,
    Subject,
)
from glide_jax.sampling.stages import truncated_prompts
from glide_jax.sampling.tasks import Wanted
from glide_jax.text.reader import EmbeddingReader
from glide_jax.web.serve.jobs import Job, JobImage
from glide_jax.web.serve.kept_images import KeptImages
from glide_jax.web.serve.offer import MAX_SEED, later_names

_NOT_SETTINGS = (
    *("client", "task", "prompt", "negative_prompt", "label", "num_images", "seed"),
    *("image", "mask", "frame", "result", "strength", "rerank"),
)

MAX_JOINED = 2048
"""Pixels a side of an image that has grown."""


def job_of(pipeline: Pipeline, images: KeptImages, values: Mapping[str, Any]) -> Job:
    """The job of a request's values.

    Args:
        pipeline: what will sample it; nothing is sampled here.
        images: where the names of its images are looked up.
        values: checked.

    Raises:
        HTTPException: 404, an image is not kept, or not any more.
        UserError: a value makes no sense.
    """
    task, stages = values["task"], pipeline.stages
    seed = values.get("seed")
    seed = secrets.randbelow(min(MAX_SEED, 2**31)) if seed is None else seed
    subject = Subject(
        values.get("prompt", ""), values.get("negative_prompt", ""), values.get("label")
    )
    later = later_names(stages)
    settings = {n: value for n, value in values.items() if n not in (*_NOT_SETTINGS, *later)}
    changes = {n: v for n, v in values.items() if n in later and v != later[n]}
    if changes:
        with_settings(pipeline, changes)  # whether the values make sense
    count, keeps = values["num_images"], None
    if "rerank" in values:
        count, keeps = _reranked(values["rerank"], count)
    wanted = Wanted([subject], count, seed, settings)
    join, size = None, stages[-1].image_size

    def image(name: str) -> Image.Image | None:
        return _opened(images, values[name]) if name in values else None

    if task == SAMPLE:
        request = tasks.sample_request(stages, wanted)
    elif task == INPAINT:
        given = _required(image("image"))
        frame = values.get("frame")
        request = tasks.inpaint_request(stages, given, image("mask"), frame, wanted)
        if values["result"] == "image":
            png = _png_of(images, values["image"])
            join, size = _join(png, frame or _middle_of(given), request, size)
    elif task == EDIT:
        given = _required(image("image"))
        request = tasks.edit_request(stages, given, values["strength"], wanted)
    else:
        assert task == UPSAMPLE
        request = tasks.upsample_request(stages, _required(image("image")), wanted)
    return Job(
        client=values["client"],
        task=task,
        seed=seed,
        request=request,
        images=[JobImage() for _ in request.subjects],
        notes=_notes(pipeline, request),
        size=size,
        later=tuple(changes.items()),
        keeps=keeps,
        join=join,
    )


def _reranked(sampled: int, kept: int) -> tuple[int, int]:
    if sampled < kept:
        raise UserError(
            f"{sampled} images can't be sampled to keep {kept}: ask for fewer, or sample more"
        )
    return sampled, kept


def _join(
    png: bytes, frame: Frame, request: SampleRequest, size: int
) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """What puts a sampled frame into its image, and pixels of the longer side of what comes out."""
    plane = plane_of(*_open(png).size, frame, size)
    longest = max(plane.width, plane.height)
    if longest > MAX_JOINED:
        raise UserError(
            f"the image would have {plane.width}×{plane.height} pixels, and {MAX_JOINED} a side "
            "are the most: move the frame closer, or begin with a smaller image"
        )
    known = request.edit(len(request.edits) - 1).known
    assert known is not None
    kept = known[1]

    def join(sampled: np.ndarray) -> np.ndarray:
        # Decoded only now: hundreds may wait.
        image = _open(png)
        return joined(read_image(image), opaque_pixels(image), frame, sampled, kept)

    return join, longest


def _middle_of(image: Image.Image) -> Frame:
    """An image's middle square."""
    side = min(image.size)
    return Frame((image.width - side) // 2, (image.height - side) // 2, side)


def _required(image: Image.Image | None) -> Image.Image:
    assert image is not None  # its field is required
    return image


def _opened(images: KeptImages, name: str) -> Image.Image:
    return _open(_png_of(images, name))


def _png_of(images: KeptImages, name: str) -> bytes:
    kept = images.find(name)
    if kept is None:
        raise HTTPException(404, "This image is not kept here any more: send it again.")
    return kept.png


def _open(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png), formats=["PNG"])


def _notes(pipeline: Pipeline, request: SampleRequest) -> tuple[str, ...]:
    stage = pipeline.stages[request.first_stage]
    # A frozen encoder would run its network only to count.
    if stage.reader is None or isinstance(stage.reader, EmbeddingReader):
        return ()
    if not truncated_prompts(stage, [request.subjects[0].prompt]):
        return ()
    return (f"The model reads {stage.reader.length} tokens: the end of the prompt was cut off.",)
