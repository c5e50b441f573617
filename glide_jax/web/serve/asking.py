"""From a checked JSON object to a Job: images are looked up, the settings resolved."""

import io
import secrets
from collections.abc import Mapping
from typing import Any

from PIL import Image
from starlette.exceptions import HTTPException

from glide_jax.sampling import tasks
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
from glide_jax.web.serve.offer import MAX_SEED

_NOT_SETTINGS = (
    *("client", "task", "prompt", "negative_prompt", "label", "num_images", "seed"),
    *("image", "mask", "frame", "strength"),
)


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
    settings = {name: value for name, value in values.items() if name not in _NOT_SETTINGS}
    wanted = Wanted([subject], values["num_images"], seed, settings)

    def image(name: str) -> Image.Image | None:
        return _opened(images, values[name]) if name in values else None

    if task == SAMPLE:
        request = tasks.sample_request(stages, wanted)
    elif task == INPAINT:
        given = _required(image("image"))
        request = tasks.inpaint_request(stages, given, image("mask"), values.get("frame"), wanted)
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
        size=stages[-1].image_size,
    )


def _required(image: Image.Image | None) -> Image.Image:
    assert image is not None  # its field is required
    return image


def _opened(images: KeptImages, name: str) -> Image.Image:
    kept = images.find(name)
    if kept is None:
        raise HTTPException(404, "This image is not kept here any more: send it again.")
    return Image.open(io.BytesIO(kept.png), formats=["PNG"])


def _notes(pipeline: Pipeline, request: SampleRequest) -> tuple[str, ...]:
    stage = pipeline.stages[request.first_stage]
    # A frozen encoder would run its network only to count.
    if stage.reader is None or isinstance(stage.reader, EmbeddingReader):
        return ()
    if not truncated_prompts(stage, [request.subjects[0].prompt]):
        return ()
    return (f"The model reads {stage.reader.length} tokens: the end of the prompt was cut off.",)
