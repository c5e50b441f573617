"""What a pipeline gives back: images, and the provenance of each, which its PNG file carries."""

import dataclasses
import hashlib
import io
import json
import os
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image, PngImagePlugin

from glide_jax import __version__
from glide_jax.checkpoints.adapters import AdapterFile
from glide_jax.config.reading import plain
from glide_jax.data.images import open_image
from glide_jax.errors import UserError
from glide_jax.sampling.grid import save_image
from glide_jax.sampling.request import SAMPLE, SampleRequest, Settings, Subject
from glide_jax.sampling.run import RunResult
from glide_jax.sampling.stages import Stage
from glide_jax.storage import storage_path

KEY = "glide_jax"
"""The name of the PNG's text chunk, which is JSON."""

_MAX_SLUG_BYTES = 60
_MAX_BATCH = 2**20


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a pipeline was loaded from.

    Attributes:
        checkpoints: the workdirs of the stages.
        overrides: `KEY=VALUE` each, what was changed in the configs of all of them.
        clip, classifier: the guides' workdirs, or None.
        text_encoder: the folder that was given for it, or None.
        adapters: `FILE:WEIGHT` each.
    """

    checkpoints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    clip: str | None = None
    classifier: str | None = None
    text_encoder: str | None = None
    adapters: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        workdirs: Sequence[str | Path],
        overrides: Sequence[str] = (),
        clip: str | Path | None = None,
        classifier: str | Path | None = None,
        text_encoder: str | Path | None = None,
    ) -> Self:
        """The origin as an image stores it: with absolute paths."""
        return cls(
            checkpoints=tuple(map(_absolute, workdirs)),
            overrides=tuple(overrides),
            clip=_absolute(clip) if clip else None,
            classifier=_absolute(classifier) if classifier else None,
            text_encoder=_absolute(text_encoder) if text_encoder else None,
        )

    def adding(self, adapters: Sequence[AdapterFile]) -> Self:
        """The origin of the same models with more adapters."""
        names = (str(one._replace(path=one.path.absolute())) for one in adapters)
        return dataclasses.replace(self, adapters=(*self.adapters, *names))


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Everything that an image is a function of.

    Attributes:
        task: `sample`, `inpaint`, `edit` or `upsample`.
        prompt, negative_prompt, label: what it shows; label is None where there was none.
        seed, index: they decide its noise.
        settings: of the first stage, resolved, by name.
        strength: of an edit, else None.
        batch_slots: for each stage, (images in its batch, its slot): another batch size may round
            differently.
        checkpoints: the workdirs.
        overrides: what was changed in their configs, `KEY=VALUE` each.
        steps: the training step of each stage's weights.
        clip, classifier: the guides' workdirs, or None.
        text_encoder: the folder that was given for it, or None.
        adapters: `FILE:WEIGHT` each.
        input_files: of a task that starts from images, their files by name; None: it was no file.
        version: of glide_jax.
    """

    task: str
    prompt: str
    negative_prompt: str
    label: int | None
    seed: int
    index: int
    settings: Mapping[str, Any]
    strength: float | None
    batch_slots: tuple[tuple[int, int], ...]
    checkpoints: tuple[str, ...]
    overrides: tuple[str, ...]
    steps: tuple[int, ...]
    clip: str | None
    classifier: str | None
    text_encoder: str | None
    adapters: tuple[str, ...]
    input_files: Mapping[str, str | None]
    version: str

    def request(self, stages: Sequence[Stage], origin: Origin, settings: Settings) -> SampleRequest:
        """The request that samples the image again.

        Raises:
            UserError: it started from another image, or these are not the weights, or not the
                config, that it was sampled with.
        """
        if self.task != SAMPLE:
            files = ", ".join(f"{name} {path}" for name, path in self.input_files.items())
            raise UserError(
                f"the image was made by {self.task!r}, from another image: run that again, with "
                f"{files}"
            )
        steps = tuple(stage.step for stage in stages)
        if steps != self.steps:
            raise UserError(
                f"the image was sampled with the weights of steps {self.steps}, and these are of "
                f"{steps}: they can't reproduce it"
            )
        if origin.overrides != self.overrides:
            raise UserError(
                f"the image was sampled with {_changes(self.overrides)}, and these models were "
                f"loaded with {_changes(origin.overrides)}: load them with "
                f"overrides={list(self.overrides)}"
            )
        if origin.adapters != self.adapters:
            raise UserError(
                f"the image was sampled with {' and '.join(self.adapters) or 'no adapter'}, and "
                f"these models were loaded with {' and '.join(origin.adapters) or 'none'}: load "
                f"them with adapters={list(self.adapters)}"
            )
        return SampleRequest(
            task=self.task,
            subjects=(Subject(self.prompt, self.negative_prompt, self.label),),
            indices=(self.index,),
            seeds=(self.seed,),
            settings=settings,
            batch_slots=self.batch_slots,
        )


@dataclasses.dataclass(frozen=True)
class PipelineOutput:
    """Images, in the order of the prompts, those of one prompt together.

    Attributes:
        stages: uint8[n s s 3] for each stage that sampled, s its size; the last are the images.
        provenance: n of them, of each image; saved with it.
    """

    stages: tuple[np.ndarray, ...]
    provenance: tuple[Provenance, ...]

    @property
    def arrays(self) -> np.ndarray:
        """uint8[n s s 3]."""
        return self.stages[-1]

    @property
    def images(self) -> list[Image.Image]:
        """The images, for Pillow; each may be the next edit's input."""
        return [Image.fromarray(pixels) for pixels in self.arrays]

    @property
    def prompts(self) -> list[str]:
        """Each image's prompt."""
        return [one.prompt for one in self.provenance]

    @property
    def captions(self) -> list[str]:
        """What each image shows, for people: its prompt or class."""
        return [
            one.prompt if one.label is None else f"class {one.label}" for one in self.provenance
        ]

    @property
    def seeds(self) -> list[tuple[int, int]]:
        """(seed, index) of each image, which with the prompt and the settings decide it."""
        return [(one.seed, one.index) for one in self.provenance]

    def save(self, folder: str | Path) -> list[Path]:
        """Write a PNG for each image, with its provenance.

        Args:
            folder: made if it is not there; a file of the same prompt, seed and index is replaced.

        Returns:
            The files.

        Raises:
            DiskError: one could not be written.
        """
        files = self.files(folder)
        for file, pixels, one in zip(files, self.arrays, self.provenance, strict=True):
            save_image(pixels, file, png_info(one))
        return files

    def files(self, folder: str | Path) -> list[Path]:
        """The files that `save` writes there."""
        return [storage_path(folder) / file_name(one) for one in self.provenance]


def joined(parts: Sequence[PipelineOutput]) -> PipelineOutput:
    """The parts of a request as one, in order."""
    stages = zip(*(part.stages for part in parts), strict=True)
    provenance = tuple(one for part in parts for one in part.provenance)
    return PipelineOutput(tuple(np.concatenate(images) for images in stages), provenance)


def provenance_of(
    request: SampleRequest, result: RunResult, stages: Sequence[Stage], origin: Origin
) -> tuple[Provenance, ...]:
    """The provenance of each image of a request.

    Args:
        request: what was asked for.
        result: what it became.
        stages: all of the pipeline's.
        origin: what they were loaded from.
    """
    sampled = stages[request.first_stage :]
    return tuple(
        Provenance(
            task=request.task,
            **request.subjects[row]._asdict(),
            seed=request.seeds[row],
            index=request.indices[row],
            settings=request.settings.to_dict(row),
            strength=request.strength,
            batch_slots=slots,
            **vars(origin),
            steps=tuple(stage.step for stage in sampled),
            input_files=request.input_files,
            version=__version__,
        )
        for row, slots in zip(result.rows, result.batch_slots, strict=True)
    )


def png_info(provenance: Provenance) -> PngImagePlugin.PngInfo:
    """The text chunk that carries it, for Pillow to save."""
    info = PngImagePlugin.PngInfo()
    # What Python has no JSON for are NumPy's numbers.
    text = json.dumps(
        dataclasses.asdict(provenance), ensure_ascii=False, default=lambda x: x.item()
    )
    # A lone surrogate, which a wrongly set terminal makes, is no UTF-8; JSON reads its escape.
    info.add_itxt(KEY, text.encode("utf-8", "backslashreplace").decode("utf-8"))
    return info


def encoded_png(pixels: np.ndarray, provenance: Provenance) -> bytes:
    """The PNG of an image, uint8[h w 3], that carries its provenance."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=png_info(provenance))
    return buffer.getvalue()


def read_provenance(path: str | os.PathLike) -> Provenance:
    """The provenance in an image file.

    Raises:
        UserError: it can't be read, or has none.
    """
    with open_image(path) as image:
        text = image.info.get(KEY)
    if text is None:
        raise UserError(
            f"{path} does not say what made it: it is not a PNG that glide_jax wrote, or another "
            "program has saved it since; give the prompt and the seed"
        )
    try:
        # 0.2 had no text encoders, 0.4 no adapters.
        return Provenance(**_checked({"text_encoder": None, "adapters": ()} | json.loads(text)))
    except (ValueError, TypeError, KeyError, RecursionError, UserError) as error:
        raise UserError(
            f"{path} was made by another version of glide_jax: give the prompt and the seed"
        ) from error


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a Provenance, from JSON, with their types. Raises where one is another's."""
    slots = tuple((int(size), int(slot)) for size, slot in values["batch_slots"])
    # A PNG may be anybody's: what no batch has would take all memory.
    each = all(0 <= slot < size <= _MAX_BATCH for size, slot in slots)
    if not each or not 0 < len(slots) <= len(values["steps"]):
        raise ValueError(f"{slots=}")
    if not 0 <= values["index"] < 2**31:
        raise ValueError(f"index={values['index']}")
    given = {"batch_slots": slots} | {
        name: {**values[name]} for name in ("settings", "input_files")
    }
    hints = typing.get_type_hints(Provenance)
    return given | {n: plain(v, hints[n], n) for n, v in values.items() if n not in given}


def file_name(provenance: Provenance) -> str:
    """`a-red-circle-7-0.png`: what it shows, the seed, its index.

    A prompt that is cut, or has no words, has digits of its own behind it, so that no other
    prompt's image is replaced.
    """
    label = provenance.label
    what = provenance.prompt if label is None else f"class {label}"
    return f"{slug(what)}{_own_digits(what)}-{provenance.seed}-{provenance.index}.png"


def slug(prompt: str) -> str:
    """A prompt as part of a file's name: at most 60 bytes of UTF-8."""
    cut = _words(prompt)[:_MAX_SLUG_BYTES].decode("utf-8", "ignore")
    return cut.strip("-") or "no-prompt"


def _own_digits(prompt: str) -> str:
    """`-0a1b2c3d` of a prompt that its slug doesn't hold."""
    if 0 < len(_words(prompt)) <= _MAX_SLUG_BYTES or not prompt.strip():
        return ""
    return "-" + hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _words(prompt: str) -> bytes:
    return re.sub(r"\W+", "-", prompt.lower()).strip("-").encode("utf-8", "ignore")


def _absolute(workdir: str | Path) -> str:
    return str(storage_path(workdir).absolute())


def _changes(overrides: Sequence[str]) -> str:
    return f"{', '.join(overrides)} in its config" if overrides else "its config as it is"
