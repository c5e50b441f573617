"""Reading checkpoints: what they hold, and their arrays in whole or in part."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from glide_jax import __version__, config
from glide_jax.checkpoints.fetching import Fetched
from glide_jax.checkpoints.layout import (
    CHECKPOINTS,
    by_path,
    complete_steps,
    incomplete_checkpoints,
    part_of,
)
from glide_jax.checkpoints.upgrading import upgraded
from glide_jax.errors import UserError
from glide_jax.storage import BucketError, is_in_bucket, storage_path
from glide_jax.types import Array, Params

_GROUP_BYTES = 2**26
"""Read at once where a state is read array by array; each reading opens the checkpoint anew."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """What a checkpoint records of the data that it was trained on.

    Attributes:
        fingerprint: of the data, see `data.source.Source`.
        images: how many they are.
    """

    fingerprint: str
    images: int


class Checkpoint:
    """One complete checkpoint, to read. Nothing is read before it is needed.

    Args:
        directory: the folder of checkpoints, one folder a step; local or in a bucket.
        step: which one.
    """

    def __init__(self, directory: str | Path, step: int):
        self.path = storage_path(directory).absolute() / str(step)
        self.step = step
        self._files = Fetched(self.path)

    @property
    def stage(self) -> str:
        """The name of its stage."""
        return self.path.parent.parent.name

    @property
    def experiment(self) -> config.Experiment:
        """The experiment that it belongs to.

        Raises:
            UserError: the file is damaged, or another version of glide_jax wrote it.
        """
        with self._reporting_damage():
            values = {**self._meta["config"]}  # a list would do for dict()
        if "stages" not in values:
            raise UserError(
                f"{self.path} was written by glide_jax before 0.2, whose configs had no stages: "
                "use that version, or import the weights or train again in another --workdir"
            )
        with self._reporting_damage():
            try:
                return config.from_dict(upgraded(values))
            except UserError as error:
                version = self._meta.get("version", "before 0.2")
                raise UserError(
                    f"{self.path} was written by glide_jax {version}, and {__version__} can't read "
                    f"its config ({error}): use that version, or choose another --workdir"
                ) from None

    @property
    def tokenizer(self) -> dict[str, Any]:
        """The tokenizer's `to_dict`; UserError: the file is damaged."""
        return self._of_meta("tokenizer")

    @property
    def data_set(self) -> DataSet | None:
        """The data that it was trained on; None: it was imported, or is older than this record.

        Raises:
            UserError: the file is damaged.
        """
        values = self._of_meta("data") if "data" in self._meta else None
        with self._reporting_damage():
            return None if values is None else DataSet(**values)

    @property
    def base(self) -> str | None:
        """The fingerprint of its adapter's base, or of its teacher; None: it has neither.

        Raises:
            UserError: the file is damaged.
        """
        return self._of_meta("base") if "base" in self._meta else None

    @property
    def data_state(self) -> dict[str, Any]:
        """The state of the data iterator; UserError: the file is damaged."""
        state = self._read_json("data")
        with self._reporting_damage():
            if int(state["next_index"]) < 0:
                raise ValueError
        return state

    @functools.cached_property
    def _meta(self) -> dict[str, Any]:
        return self._read_json("meta")

    def _of_meta(self, key: str) -> Any:
        with self._reporting_damage():
            return self._meta[key]

    @property
    def is_of_a_run(self) -> bool:
        """Whether training wrote it; an imported checkpoint has `ema_params` alone."""
        return bool(self.shapes("params"))

    def shapes(self, part: str) -> dict[str, jax.ShapeDtypeStruct]:
        """The arrays of one part of the state, path → shape and dtype; {}: there is no such part.

        Args:
            part: such as `params`, `ema_params` or `opt_state`.
        """
        return {
            path.partition("/")[2]: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for path, leaf in self._arrays.items()
            if part_of(path) == part
        }

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        jax.default_backend()  # Orbax starts JAX: where that fails, it is not the file's fault
        with self._reporting_damage():
            folder: Any = self._files.state()  # Orbax declares its own kind of Path, and takes any
            return dict(ocp.PyTreeCheckpointHandler().metadata(folder).tree)

    def restore(self, abstract: Any) -> Any:
        """Read the state, or some of its parts.

        Args:
            abstract: a pytree of jax.ShapeDtypeStruct (or arrays), each with the sharding to
                restore it with; without one it is put on the first device. Each part named at its
                top level is read completely, and no other: {"ema_params": ...} reads nothing else.

        Returns:
            The same pytree, of arrays.

        Raises:
            UserError: its names, shapes or dtypes are not the checkpoint's, or it is damaged.
        """
        wanted = {path: _target(leaf) for path, leaf in by_path(abstract).items()}
        self._check(wanted)
        arrays = self._read(wanted)
        leaves = [arrays[path] for path in wanted]
        return jax.tree.unflatten(jax.tree.structure(abstract), leaves)

    def _read(self, wanted: dict[str, jax.ShapeDtypeStruct]) -> dict[str, Array]:
        """Some of the arrays, by their path in the state."""
        args = ocp.args.PyTreeRestore(
            item=wanted,
            restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
            partial_restore=True,
        )
        with self._reporting_damage():
            reader = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
            folder = self._files.state({part_of(path) for path in wanted})
            return reader.restore(folder, args=args)

    def weights(self, part: str, wanted: Mapping[str, Any]) -> Params:
        """Read one set of weights, in the dtype that they are stored in.

        Args:
            part: `params` or `ema_params`.
            wanted: as a part of `restore`'s; its dtypes don't matter.

        Returns:
            path → array, in float32 or bfloat16.

        Raises:
            UserError: the names or shapes are not the checkpoint's, or it is damaged.
        """
        return self.restore({part: self._as_stored(part, wanted)})[part]

    def each_weight(self, part: str, wanted: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
        """As `weights`, but a few at a time: (path, array), in the order of `wanted`.

        Raises:
            UserError: as `weights`, before the first is read.
        """
        targets = by_path({part: self._as_stored(part, wanted)})
        targets = {path: _target(leaf) for path, leaf in targets.items()}
        self._check(targets)
        for group in _groups(targets):
            arrays = self._read(group)
            for path in group:
                yield path.partition("/")[2], arrays.pop(path)

    def _as_stored(self, part: str, wanted: Mapping[str, Any]) -> dict[str, jax.ShapeDtypeStruct]:
        """What is wanted, in the dtype that it has in the checkpoint."""
        stored = self.shapes(part)

        def dtype_of(path: str, leaf: Any) -> Any:
            there = stored[path].dtype if path in stored else leaf.dtype
            return there if str(there) in config.DTYPES else leaf.dtype

        return {
            path: jax.ShapeDtypeStruct(leaf.shape, dtype_of(path, leaf), sharding=leaf.sharding)
            for path, leaf in wanted.items()
        }

    def _check(self, wanted: Mapping[str, jax.ShapeDtypeStruct]) -> None:
        # Orbax would cast dtypes silently, and of wrong names it reports only the number.
        there = {path: _shown(leaf) for path, leaf in self._arrays.items()}
        here = {path: _shown(leaf) for path, leaf in wanted.items()}
        parts = {part_of(path) for path in here}
        for path in [*here, *(path for path in there if part_of(path) in parts)]:
            a, b = there.get(path, "absent"), here.get(path, "absent")
            if a != b:
                raise UserError(
                    f"{self.path} does not fit this model: {path} is {a} there and {b} here; "
                    "use the version of glide_jax that wrote it, or another workdir"
                )

    def _read_json(self, item: str) -> Any:
        # Not with a Checkpointer, which starts JAX: the config read here sets the CPU's devices.
        with self._reporting_damage():
            folder: Any = self._files.item(item)
            return ocp.JsonCheckpointHandler().restore(folder, args=ocp.args.JsonRestore())

    @contextlib.contextmanager
    def _reporting_damage(self) -> Iterator[None]:
        """Turn whatever reading a damaged file raises into one line."""
        try:
            yield
        except (UserError, MemoryError, jax.errors.JaxRuntimeError):
            raise  # too little memory is not the file's fault
        except (BucketError, PermissionError) as error:
            raise UserError(f"can't read {self.path}: {error.strerror}") from error
        except Exception as error:
            # Orbax and TensorStore raise anything here, down to plain Exception.
            earlier = [s for s in complete_steps(self.path.parent) if s < self.step]
            rest = f"continue from step {max(earlier)}" if earlier else "start from the beginning"
            raise UserError(
                f"{self.path} is damaged ({type(error).__name__}); delete it to {rest}"
            ) from error


def find_checkpoint(directory: str | Path) -> Checkpoint | None:
    """The newest complete checkpoint in a directory; None: there is none.

    Raises:
        UserError: it is another URL than a bucket's, or the bucket can't be opened.
    """
    directory = storage_path(directory).absolute()
    if not is_in_bucket(directory) and not directory.is_dir():
        return None
    steps = complete_steps(directory)
    return Checkpoint(directory, max(steps)) if steps else None


def open_checkpoint(directory: str | Path) -> Checkpoint:
    """The newest complete checkpoint in a directory, where one is required.

    Raises:
        UserError: there is none, or only a half-written one.
    """
    if found := find_checkpoint(directory):
        return found
    raise no_checkpoint(directory)


def no_checkpoint(directory: str | Path) -> UserError:
    """The error for a directory, of checkpoints or a workdir, without a complete checkpoint."""
    how = (
        "give the workdir of a training or an import; to make one: glide-jax train --config=NAME "
        "--workdir=DIR, or glide-jax import"
    )
    path = storage_path(directory)
    if find_checkpoint(path / CHECKPOINTS):
        how = f"it is a stage's folder: give its workdir, {path.absolute().parent}"
    if incomplete_checkpoints(path):
        return UserError(f"{directory} holds only a half-written checkpoint; {how}")
    return UserError(f"no checkpoint in {directory}; {how}")


def _groups(wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The wanted arrays, as many at a time as have `_GROUP_BYTES`, or one that is larger."""
    group, size = {}, 0
    for path, leaf in wanted.items():
        needs = math.prod(leaf.shape) * leaf.dtype.itemsize
        if group and size + needs > _GROUP_BYTES:
            yield group
            group, size = {}, 0
        group[path] = leaf
        size += needs
    if group:
        yield group


def _target(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _shown(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"
