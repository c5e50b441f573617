"""What each task asks of a cascade's stages: prompts, images and masks → a checked SampleRequest.

    sample   prompts or classes, from noise
    inpaint  a part of an image is repainted; with a frame, also what lies outside of the image
    edit     an image with noise is where sampling starts (SDEdit)
    upsample an image is enlarged

Nothing is sampled here: `Pipeline` runs a request at once, a server when its turn comes.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glide_jax.data.images import square
from glide_jax.errors import UserError
from glide_jax.sampling import request as requests
from glide_jax.sampling.images import (
    Frame,
    ImageLike,
    at_size,
    framed,
    opaque_pixels,
    read_image,
    read_mask,
    shrunk_mask,
)
from glide_jax.sampling.request import SampleRequest, StageEdit, Subject
from glide_jax.sampling.stages import Stage, check_caching, check_guidance
from glide_jax.storage import is_in_bucket, storage_path

_ROW_BYTES = 2000
"""What a request holds of an image beside its pixels, and at the end its provenance."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What every task has in common.

    Attributes:
        subjects: what is to be shown.
        num_images: of each.
        seed: with an image's index it decides the image's noise.
        settings: of the first stage that samples, by name, see `request.resolve`.
    """

    subjects: Sequence[Subject]
    num_images: int
    seed: int
    settings: Mapping[str, Any]


def sample_request(stages: Sequence[Stage], wanted: Wanted) -> SampleRequest:
    """Sample from noise. Raises UserError: a value makes no sense."""
    return _request(stages, requests.SAMPLE, wanted)


def inpaint_request(
    stages: Sequence[Stage],
    image: ImageLike,
    mask: ImageLike | None,
    frame: Frame | None,
    wanted: Wanted,
) -> SampleRequest:
    """Repaint a part of an image, or what lies around it.

    Args:
        stages: of the cascade.
        image: its middle square is used, or what lies in the frame; there, what is transparent is
            repainted, as what lies outside of the image.
        mask: of the image's shape, or of the frame's; white: repaint, black: keep. None: what lies
            outside of the image is repainted, and nothing else.
        frame: the square that is sampled, which may reach beyond the image; None: the middle.
        wanted: see there.

    Raises:
        UserError: a value makes no sense, or an image can't be read.
    """
    pixels, size = read_image(image), stages[-1].image_size
    kept = np.ones((1, size, size, 1), np.float32)
    if frame is not None:
        pixels, kept = framed(pixels, frame, size, opaque_pixels(image))
    if mask is not None:
        kept = kept * read_mask(mask, pixels, size)
    if kept.all():
        raise UserError(
            "nothing is to be repainted: give a mask, white there, or a frame that reaches beyond "
            "the image"
        )
    edits = tuple(
        StageEdit(known=(at_size(pixels, stage.image_size), shrunk_mask(kept, stage.image_size)))
        for stage in stages
    )
    request = _request(stages, requests.INPAINT, wanted)
    files = {"image": _path_of(image), "mask": _path_of(mask)}
    return dataclasses.replace(request, edits=edits, input_files=files)


def edit_request(
    stages: Sequence[Stage], image: ImageLike, strength: float, wanted: Wanted
) -> SampleRequest:
    """Start from an image with noise; `strength` as for `Pipeline.image_to_image`.

    Raises:
        UserError: a value makes no sense, or the image can't be read.
    """
    strength = requests.check_strength(strength)
    initial = at_size(read_image(image), stages[0].image_size), strength
    edits = (StageEdit(initial=initial), *[StageEdit()] * (len(stages) - 1))
    request = _request(stages, requests.EDIT, wanted)
    files = {"image": _path_of(image)}
    return dataclasses.replace(request, edits=edits, input_files=files, strength=strength)


def upsample_request(stages: Sequence[Stage], image: ImageLike, wanted: Wanted) -> SampleRequest:
    """Enlarge an image's middle square, reduced to what the first upsampler takes.

    Raises:
        UserError: there is no upsampler, a value makes no sense, or the image can't be read.
    """
    first = first_upsampler(stages)
    if first is None:
        raise UserError("there is no upsampler among these models: add one's workdir")
    low_res = square(read_image(image), stages[first].low_res_size)[None]
    request = _request(stages, requests.UPSAMPLE, wanted, first)
    low_res = np.repeat(low_res, len(request.subjects), axis=0)
    return dataclasses.replace(request, low_res=low_res, input_files={"image": _path_of(image)})


def first_upsampler(stages: Sequence[Stage]) -> int | None:
    """The place of the first stage that enlarges; None: there is none."""
    return next((i for i, stage in enumerate(stages) if stage.low_res_size), None)


def _request(
    stages: Sequence[Stage], task: str, wanted: Wanted, first_stage: int = 0
) -> SampleRequest:
    """Every subject num_images times."""
    pixels = sum(stage.image_size**2 for stage in stages[first_stage:])
    bytes_each = 3 * pixels + _ROW_BYTES
    repeated = requests.repeated(wanted.subjects, wanted.num_images, bytes_each)
    request = SampleRequest(
        task=task,
        subjects=repeated,
        indices=tuple(range(len(repeated))),
        seeds=(wanted.seed,) * len(repeated),
        settings=requests.resolve(
            wanted.settings,
            stages[first_stage].config.sampling,
            len(wanted.subjects),
            wanted.num_images,
            inpaints=task == requests.INPAINT,
        ),
        first_stage=first_stage,
    )
    settings = request.settings
    check_guidance(stages[first_stage], settings.sampling, settings.guidance_scales, repeated)
    check_caching(stages[first_stage], settings.sampling)
    for stage in stages[first_stage + 1 :]:
        own = stage.config.sampling
        check_guidance(stage, own, [own.guidance_scale], repeated)
        check_caching(stage, own)
    return request


def _path_of(image: ImageLike | None) -> str | None:
    """The path of an image; None: it is no file."""
    if not isinstance(image, str | os.PathLike):
        return None
    return str(image) if is_in_bucket(storage_path(image)) else os.path.abspath(image)
