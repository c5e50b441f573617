"""Files of weights, opened: which models they hold, told from keys and options; no weight is read.

Of a released file the options are those of the name that people give it; of one that we exported
they lie beside it.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glide_jax.config import ClipConfig, Experiment
from glide_jax.errors import UserError
from glide_jax.interop import families, files, openai, released
from glide_jax.interop.shipped import released_experiment, released_tokenizer
from glide_jax.interop.sidecar import Sidecar, read_sidecar
from glide_jax.models.clip import clip, join_params
from glide_jax.models.families import model_of

CLIP = ("clip_image", "clip_text")
CLIP_LOGIT_SCALE = 100.0
"""Of the published ones; it is no weight of theirs, nor an option."""

"""The families of the two files that are one model."""

_SHOWN = 40  # that many wrong keys are a slip; more are another model


@dataclasses.dataclass(frozen=True)
class File:
    """One file, opened.

    Attributes:
        path: where it lies.
        arrays: by PyTorch key.
        family: of `interop.families`, told from the keys.
    """

    path: Path
    arrays: files.StateDict
    family: str


@dataclasses.dataclass(frozen=True)
class Incoming:
    """One model on its way in.

    Attributes:
        parts: its files, CLIP's image encoder before its text encoder, each with its model.
        experiment: with this model as its only stage.
        tokenizer: its `to_dict`; {}: there is none.
    """

    parts: tuple[tuple[File, Any], ...]
    experiment: Experiment
    tokenizer: dict[str, Any]

    def params(self) -> dict[str, np.ndarray]:
        """Read the weights, once: the files' arrays are let go.

        Raises:
            UserError: they are not this model's, or not finite numbers.
        """
        each = [_params(file, model) for file, model in self.parts]
        return join_params(*each) if len(each) == len(CLIP) else each[0]


def open_released(paths: Sequence[Path], names: Sequence[str]) -> list[Incoming]:
    """The models of released files.

    Args:
        paths: one each, but two for "clip", in any order.
        names: of `released.models()`, in the files' order.

    Raises:
        UserError: a file is missing, damaged, or not of the model that its name says.
    """
    wanted = [released.model_files(name) for name in names]
    if len(paths) != sum(map(len, wanted)):
        needs = ", ".join(f"{n} takes {len(w)}" for n, w in zip(names, wanted, strict=True))
        raise UserError(f"{len(paths)} files are given, but {needs}")
    opened = [_open(path) for path in paths]
    models = []
    for name, public in zip(names, wanted, strict=True):
        mine, opened = opened[: len(public)], opened[len(public) :]
        by_family = {file.family: file for file in mine}
        if set(by_family) != {p.kind for p in public}:
            held = ", ".join(f"{file.path} of {file.family}" for file in mine)
            kinds = " and ".join(p.kind for p in public)
            raise UserError(f"--as={name} is of the family {kinds}, but by its keys {held}")
        models.append(_released([(by_family[p.kind], p.options) for p in public]))
    return models


def open_exported(paths: Sequence[Path]) -> list[Incoming]:
    """The models of files that we exported, in any order.

    Raises:
        UserError: a file is missing or damaged, its options are not beside it, or one of CLIP's
            two files is not there.
    """
    opened = [_open(path) for path in paths]
    encoders = sorted((f for f in opened if f.family in CLIP), key=lambda f: CLIP.index(f.family))
    if encoders and tuple(f.family for f in encoders) != CLIP:
        raise UserError("CLIP is two files, one of its image and one of its text encoder")
    models = [[file] for file in opened if file.family not in CLIP] + [encoders] * bool(encoders)
    return [_exported(parts) for parts in models]


def _open(path: Path) -> File:
    arrays = files.read(path)
    with _named(path):
        return File(path, arrays, families.of_keys(arrays.keys()).NAME)


def _released(parts: Sequence[tuple[File, Mapping[str, Any]]]) -> Incoming:
    built = []
    for file, options in parts:
        with _named(file.path):
            built.append((file, openai.build(file.arrays, options)))
    model = _joined(*(m for _, m in built)) if len(built) == len(CLIP) else built[0][1]
    experiment = released_experiment(model, parts[0][1])
    return Incoming(tuple(built), experiment, released_tokenizer(experiment))


def _joined(image: Any, text: Any) -> Any:
    if image.embedding_width != text.embedding_width:
        raise UserError("the two encoders are not of one CLIP: their features differ in width")
    config = ClipConfig(
        "clip", image.config, text.config, image.embedding_width, CLIP_LOGIT_SCALE, "float32"
    )
    return clip(config, vocab_size=text.vocab_size, text_length=text.text_length)


def _exported(parts: Sequence[File]) -> Incoming:
    beside = _beside(parts[0])
    (stage,) = beside.experiment.stages.values()
    model = model_of(stage, vocab_size=beside.vocab_size, text_length=beside.experiment.text.length)
    models = (model.image, model.text) if len(parts) == len(CLIP) else (model,)
    return Incoming(tuple(zip(parts, models, strict=True)), beside.experiment, beside.tokenizer)


def _beside(file: File) -> Sidecar:
    beside = read_sidecar(file.path)
    if beside is None:
        raise UserError(
            f"no options lie beside {file.path}; if it is a released file, say --as="
            f"{'|'.join(released.models())}"
        )
    return beside


def _params(file: File, model: Any) -> dict[str, np.ndarray]:
    with _named(file.path):
        bad = [key for key, array in file.arrays.items() if not np.isfinite(array).all()]
        if bad:
            raise UserError(f"not all of {', '.join(bad)} is finite: the weights are broken")
        try:
            params = openai.params_of(model, file.arrays)
        except openai.WrongKeysError as error:
            if len(error.wrong) <= _SHOWN:
                raise
            some = "; ".join(error.wrong[:3])
            raise UserError(
                f"it is another model than --as, or the options beside it, say: "
                f"{len(error.wrong)} of its keys are wrong ({some}; …)"
            ) from error
        file.arrays.clear()
        return params


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
