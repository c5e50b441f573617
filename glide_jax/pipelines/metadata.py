"""What made a picture, carried in its PNG file, so that it can be made again."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from PIL import PngImagePlugin

from glide_jax.data.images import open_picture
from glide_jax.errors import UserError

KEY = "glide_jax"
"""The name of the text chunk, which is JSON."""

SAMPLE, INPAINT, EDIT, UPSAMPLE = "sample", "inpaint", "edit", "upsample"
"""The jobs. Of SAMPLE alone the metadata is all there is to it; others begin from pictures."""


@dataclasses.dataclass(frozen=True)
class Made:
    """All that made a picture.

    Attributes:
        job: one of SAMPLE, INPAINT, EDIT, UPSAMPLE.
        prompt, negative_prompt, label: what it is of; label is None where there was none.
        seed, index: its noise is a function of these two.
        settings: how the first stage drew it; `Settings.of` reads it.
        strength: of an EDIT, else None.
        places: for each stage that drew it, (pictures in its batch, its slot): a batch of another
            size may round in another way.
        watched: whether `on_step` was told, which is another program, that may round otherwise.
        checkpoints: the workdirs.
        overrides: what was changed in their configs, `KEY=VALUE` each.
        steps: of training, that each stage's weights are of.
        clip, classifier: the guides' workdirs, or None.
        given: of a job that began from pictures, the files by their names; None: it was no file.
        version: of glide_jax.
    """

    job: str
    prompt: str
    negative_prompt: str
    label: int | None
    seed: int
    index: int
    settings: Mapping[str, Any]
    strength: float | None
    places: tuple[tuple[int, int], ...]
    watched: bool
    checkpoints: tuple[str, ...]
    overrides: tuple[str, ...]
    steps: tuple[int, ...]
    clip: str | None
    classifier: str | None
    given: Mapping[str, str | None]
    version: str


def png_info(made: Made) -> PngImagePlugin.PngInfo:
    """The chunk that carries it, for Pillow to save."""
    info = PngImagePlugin.PngInfo()
    # What Python has no JSON for are NumPy's numbers.
    text = json.dumps(dataclasses.asdict(made), ensure_ascii=False, default=lambda x: x.item())
    # Half a character, which a wrongly set terminal makes, is no UTF-8; so written, JSON reads it.
    info.add_itxt(KEY, text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return info


def read_made(path: str | os.PathLike) -> Made:
    """What made the picture in a file.

    Raises:
        UserError: it can't be read, or does not say.
    """
    with open_picture(path) as image:
        text = image.info.get(KEY)
    if text is None:
        raise UserError(
            f"{path} does not say what made it: it is not a PNG that glide_jax wrote, or another "
            "program has saved it since; give the prompt and the seed"
        )
    try:
        values = json.loads(text)
        values["places"] = tuple((size, slot) for size, slot in values["places"])
        for name in ("checkpoints", "overrides", "steps"):
            values[name] = tuple(values[name])
        return Made(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} was made by another version of glide_jax: give the prompt and the seed"
        ) from error
