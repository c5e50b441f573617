"""The JSON file beside an exported file: options for the reference, and what we need besides."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from glide_jax import config
from glide_jax.checkpoints.upgrading import upgraded
from glide_jax.config import Experiment
from glide_jax.errors import UserError, one_line
from glide_jax.progress import say
from glide_jax.storage import fetched, is_in_bucket

_MAX_VOCAB_SIZE = 10_000_000
"""No tokenizer has more ids; a damaged number must not reserve memory."""


@dataclasses.dataclass(frozen=True)
class Sidecar:
    """What a file of weights doesn't hold.

    Attributes:
        family: of `interop.families`.
        options: the reference's option dict.
        unlike: what the reference has no option for, a line each.
        experiment: with the weights' stage as its only one.
        tokenizer: its `to_dict`; {}: there is none.
        vocab_size: number of rows of the token embedding; 0: there is none.
    """

    family: str
    options: dict[str, Any]
    unlike: tuple[str, ...]
    experiment: Experiment
    tokenizer: dict[str, Any]
    vocab_size: int


def sidecar_path(file: Path) -> Path:
    """`model.pt` → `model.pt.options.json`."""
    return file.with_name(f"{file.name}.options.json")


def fetched_weights(file: Path) -> Path:
    """A file of weights, or a folder of shards, on this machine, with its sidecar beside it.

    Args:
        file: local, or in a bucket: then a copy in the cache folder, which is made once.

    Raises:
        UserError: it is in a bucket, and not there, or can't be read.
    """
    if not is_in_bucket(file):
        return file
    say(f"copying {file} into the cache, unless it is there")
    here, there = fetched(file), sidecar_path(file)
    beside = sidecar_path(here)
    try:
        beside.unlink(missing_ok=True)
        if there.exists():
            shutil.copyfile(fetched(there), beside)
    except OSError as error:
        raise UserError(f"can't read {there}: {error.strerror or one_line(error)}") from error
    return here


def is_sidecar(file: Path) -> bool:
    """Whether the JSON beside a file of weights is a sidecar; False: it holds options alone."""
    try:
        values = json.loads(sidecar_path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # read_sidecar says what is wrong
    return isinstance(values, dict) and "experiment" in values


def to_json(sidecar: Sidecar) -> str:
    """The text of the file."""
    values = dataclasses.asdict(sidecar) | {"experiment": config.to_dict(sidecar.experiment)}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def read_sidecar(file: Path) -> Sidecar | None:
    """The sidecar beside a file of weights; None: there is none.

    Raises:
        UserError: it can't be read, or another version of glide_jax wrote it.
    """
    path = sidecar_path(file)
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        experiment = config.from_dict(upgraded(values["experiment"]))
        values |= {"unlike": tuple(values["unlike"]), "experiment": experiment}
        return _checked(Sidecar(**values))
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(
            f"{path} is damaged, or another version of glide_jax wrote it ({error}): export again, "
            "or give --as=NAME for a released model"
        ) from error


def _checked(sidecar: Sidecar) -> Sidecar:
    """The sidecar; ValueError: a value is impossible."""
    kinds = {"family": str, "options": dict, "tokenizer": dict, "vocab_size": int}
    for name, kind in kinds.items():
        if type(getattr(sidecar, name)) is not kind:
            raise ValueError(f"{name} is no {kind.__name__}")
    if not 0 <= sidecar.vocab_size <= _MAX_VOCAB_SIZE:
        raise ValueError(f"vocab_size is {sidecar.vocab_size}")
    if len(sidecar.experiment.stages) != 1:
        raise ValueError(f"it has {len(sidecar.experiment.stages)} stages, not 1")
    return sidecar
