"""Opened files of weights: which models they hold, from keys and options; no weights are read yet.

A released file's options are known by the name that the user gives it; those of a file that we
exported lie beside it.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from glide_jax.config import ClipConfig, Experiment, StageConfig
from glide_jax.errors import UserError
from glide_jax.interop import families, files, openai, released
from glide_jax.interop.families import imagen, imagen_sizes
from glide_jax.interop.given_options import complete, read_options
from glide_jax.interop.reference import CLIP_LOGIT_SCALE
from glide_jax.interop.released import PublicFile
from glide_jax.interop.released_config import released_experiment, released_tokenizer
from glide_jax.interop.sidecar import Sidecar, is_sidecar, read_sidecar, sidecar_path
from glide_jax.interop.weights import LazyArray, open_weights
from glide_jax.models.clip import LOGIT_SCALE, clip, join_path
from glide_jax.models.families import model_of

CLIP = ("clip_image", "clip_text")
"""The families of the two files that are one model."""

_SHOWN = 40
"""Up to so many wrong keys are listed; a file with more holds another model."""


@dataclasses.dataclass(frozen=True)
class File:
    """One opened file.

    Attributes:
        path: of the file.
        arrays: by PyTorch key; each is read when it is asked for.
        family: of `interop.families`, recognised by the keys.
    """

    path: Path
    arrays: dict[str, LazyArray]
    family: str


@dataclasses.dataclass(frozen=True)
class CheckpointSource:
    """One model to be imported.

    Attributes:
        parts: its files, each with its model; CLIP's image encoder comes before its text encoder.
        experiment: with this model as its only stage.
        tokenizer: its `to_dict`; {}: there is none.
    """

    parts: tuple[tuple[File, Any], ...]
    experiment: Experiment
    tokenizer: dict[str, Any]

    @property
    def name(self) -> str:
        """The stage's name."""
        (name,) = self.experiment.stages
        return name

    @property
    def stage(self) -> StageConfig:
        """The stage's config."""
        return self.experiment.first_stage

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each weight, by its path."""
        in_files = {
            self._path(place, path): leaf.shape
            for place, (_, model) in enumerate(self.parts)
            for path, leaf in model.shapes.items()
        }
        return in_files | {path: array.shape for path, array in self._beside_the_files()}

    def each_param(self, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
        """Read the weights, one array of the files at a time: (our path, array).

        Args:
            dtype: of the arrays, `float32` or `bfloat16`.

        Raises:
            UserError: they are another model's, or not all finite.
        """
        for place, (file, model) in enumerate(self.parts):
            with _named(file.path):
                for path, array in _each_param(file, model, dtype):
                    yield self._path(place, path), array
        for path, array in self._beside_the_files():
            yield path, array.astype(jnp.dtype(dtype))

    def _beside_the_files(self) -> list[tuple[str, np.ndarray]]:
        """CLIP's scale, which the reference has among its options."""
        model = self.stage.model
        if not isinstance(model, ClipConfig):
            return []
        return [(LOGIT_SCALE, np.log(np.float32(model.logit_scale)))]

    def _path(self, part: int, path: str) -> str:
        return path if len(self.parts) == 1 else join_path(part, path)


def open_released(paths: Sequence[Path], names: Sequence[str]) -> list[CheckpointSource]:
    """The models in released files.

    Args:
        paths: one for each name, but two for "clip", in any order.
        names: of `released.models()`, in the files' order.

    Raises:
        UserError: a file is missing, damaged, or of another model than its name says.
    """
    wanted = [released.model_files(name) for name in names]
    if len(paths) != sum(map(len, wanted)):
        needs = ", ".join(f"{n} takes {len(w)}" for n, w in zip(names, wanted, strict=True))
        raise UserError(f"{len(paths)} files are given, but {needs}: give as many files")
    opened = [_open(path) for path in paths]
    models = []
    for name, public in zip(names, wanted, strict=True):
        mine, opened = opened[: len(public)], opened[len(public) :]
        by_family = {file.family: file for file in mine}
        if set(by_family) != {p.kind for p in public}:
            held = ", ".join(f"{file.path} of {file.family}" for file in mine)
            kinds = " and ".join(p.kind for p in public)
            raise UserError(
                f"--as={name} is of the family {kinds}, but by its keys {held}: give another --as"
            )
        models.append(
            _released([(by_family[p.kind], _options(by_family[p.kind], p)) for p in public])
        )
    return models


def open_with_options(
    paths: Sequence[Path], names: Sequence[str], options: Sequence[Path]
) -> list[CheckpointSource]:
    """The models in files whose options a person gives; the shapes say what these leave out.

    Args:
        paths: of one model each.
        names: of `released.models()`, whose options fill in the rest; (): no model's do.
        options: a JSON file for each of the files.

    Raises:
        UserError: a file is missing or damaged, or its options are wrong, incomplete or contradict
            its shapes.
    """
    if len(options) != len(paths) or len(names) not in (0, len(paths)):
        raise UserError(
            f"{len(paths)} files are given, {len(options)} --options and {len(names)} --as: give "
            "--options for each file, and --as for each or for none"
        )
    models = []
    for path, name, json_file in zip(paths, names or [""] * len(paths), options, strict=True):
        file = _open(path)
        if file.family in CLIP:
            raise UserError(
                f"{path} is one of CLIP's two files, which take no --options: --as=clip"
            )
        base = released.model_files(name)[0].options if name else {}
        given = read_options(json_file)
        with _named(json_file):
            completed = complete(file.family, file.arrays, given, base)
        models.append(_released([(file, completed)]))
    return models


def open_exported(paths: Sequence[Path]) -> list[CheckpointSource]:
    """The models in files that we exported, in any order, or with options alone beside them.

    Raises:
        UserError: a file is missing or damaged, its options are not beside it, or one of CLIP's
            two files is missing.
    """
    if paths and all(sidecar_path(p).is_file() and not is_sidecar(p) for p in paths):
        return open_with_options(paths, (), [sidecar_path(path) for path in paths])
    opened = [_open(path) for path in paths]
    encoders = sorted((f for f in opened if f.family in CLIP), key=lambda f: CLIP.index(f.family))
    if encoders and tuple(f.family for f in encoders) != CLIP:
        raise UserError("CLIP is two files, its image encoder and its text encoder: give both")
    models = [[file] for file in opened if file.family not in CLIP] + [encoders] * bool(encoders)
    return [_exported(parts) for parts in models]


def _open(path: Path) -> File:
    arrays = open_weights(path)
    for key, array in arrays.items():
        if array.dtype not in files.READABLE:
            raise UserError(
                f"{path}: {key} is {array.dtype}; weights are {', '.join(files.DTYPES)} or "
                "float64: not a checkpoint of a model"
            )
    with _named(path):
        return File(path, arrays, families.of_keys(arrays.keys()).NAME)


def _options(file: File, public: PublicFile) -> Mapping[str, Any]:
    """A released model's options; sizes that nobody published are the file's own."""
    if public.name not in released.SIZED_BY_SHAPES:
        return public.options
    with _named(file.path):
        imagen.require_stage(file.arrays, public.options)
        return {**public.options, **imagen_sizes.sizes(file.arrays, public.options["image_size"])}


def _released(parts: Sequence[tuple[File, Mapping[str, Any]]]) -> CheckpointSource:
    built = []
    for file, options in parts:
        with _named(file.path):
            built.append((file, openai.build(file.arrays, options)))
    model = _joined(*(m for _, m in built)) if len(built) == len(CLIP) else built[0][1]
    experiment = released_experiment(model, parts[0][1])
    return CheckpointSource(tuple(built), experiment, released_tokenizer(experiment))


def _joined(image: Any, text: Any) -> Any:
    if image.embedding_width != text.embedding_width:
        raise UserError("the two encoders are of different CLIPs: their features differ in width")
    config = ClipConfig(
        "clip", image.config, text.config, image.embedding_width, CLIP_LOGIT_SCALE, "float32"
    )
    return clip(config, vocab_size=text.vocab_size, text_length=text.text_length)


def _exported(parts: Sequence[File]) -> CheckpointSource:
    beside = _beside(parts[0])
    (stage,) = beside.experiment.stages.values()
    model = model_of(stage, vocab_size=beside.vocab_size, text_length=beside.experiment.text_length)
    models = (model.image, model.text) if len(parts) == len(CLIP) else (model,)
    return CheckpointSource(
        tuple(zip(parts, models, strict=True)), beside.experiment, beside.tokenizer
    )


def _beside(file: File) -> Sidecar:
    beside = read_sidecar(file.path)
    if beside is None:
        raise UserError(
            f"there are no options beside {file.path} ({sidecar_path(file.path).name}); of another "
            "size of GLIDE or ADM give --options FILE.json, and of a released file --as="
            f"{'|'.join(released.models())}"
        )
    return beside


def _each_param(file: File, model: Any, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    finite = {key: _Finite(key, array) for key, array in file.arrays.items()}
    try:
        return openai.each_param_of(model, finite, dtype)
    except openai.WrongKeysError as error:
        if len(error.wrong) <= _SHOWN:
            raise
        some = "; ".join(error.wrong[:3])
        raise UserError(
            f"it is another model than --as or the options beside it say: "
            f"{len(error.wrong)} of its keys are wrong ({some}; …)"
        ) from error


class _Finite:
    """An array that is checked when it is read."""

    def __init__(self, key: str, array: LazyArray):
        self._key, self._array = key, array
        self.shape = array.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        kind = np.dtype(np.float32 if dtype is None else dtype)
        with np.errstate(over="ignore"):
            array = np.asarray(self._array, kind)
        if not np.isfinite(array).all():
            raise UserError(
                f"{self._key} holds numbers that are not finite in {kind}: the weights are broken"
            )
        return array


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file's path before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
