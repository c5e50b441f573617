"""Checkpoints on disk; the one module that knows Orbax.

    DIRECTORY/STEP/state   the arrays, each under its path: `params/input_blocks.0.0.kernel`
                   data    JSON: where the data iterator stands
                   meta    JSON: the experiment and the tokenizer

A checkpoint is written under a temporary name, in the background, and renamed when it is whole:
what has a number for its name is complete, whatever killed the run. Arrays are stored by path
alone, so that any part of the state can be read without the rest, on any mesh.
"""

import contextlib
import errno
import functools
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import jax
import orbax.checkpoint as ocp

from glide_jax import config
from glide_jax.errors import UserError, a_few

# Of what goes wrong while saving, Orbax logs hundreds of lines of traceback, several times over;
# `Checkpoints` raises it as one line.
logging.getLogger("absl").addFilter(
    lambda record: not (record.exc_info and "orbax" in Path(record.pathname).parts)
)


def _without_late_writers(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The hook, silent about those of TensorStore's writers that end when a save has failed.

    They find nobody to tell, and each array's would print so.
    """

    def told(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return told


sys.unraisablehook = _without_late_writers(sys.unraisablehook)

CHECKPOINTS = "checkpoints"
"""The folder of them in a stage's own."""


class Checkpoint:
    """One whole checkpoint, to read. Nothing is read before it is asked for.

    Args:
        directory: where checkpoints lie, one folder a step.
        step: which one.
    """

    def __init__(self, directory: str | Path, step: int):
        self.path = Path(directory).absolute() / str(step)
        self.step = step

    @property
    def experiment(self) -> config.Experiment:
        """The experiment that it is of.

        Raises:
            UserError: the file is damaged, or another version of glide_jax wrote it.
        """
        values = self._meta["config"]
        try:
            return config.from_dict(values)
        except UserError as error:
            raise UserError(
                f"{self.path} is of another version of glide_jax: use that one, or choose another "
                f"--workdir ({error})"
            ) from None

    @property
    def tokenizer(self) -> dict[str, Any]:
        """The tokenizer's `to_dict`; UserError: the file is damaged."""
        return self._meta["tokenizer"]

    @property
    def data_state(self) -> dict[str, Any]:
        """Where the data iterator stood; UserError: the file is damaged."""
        return self._read_json("data")

    @functools.cached_property
    def _meta(self) -> dict[str, Any]:
        return self._read_json("meta")

    @property
    def is_of_a_run(self) -> bool:
        """Whether training wrote it; an imported one has `ema_params` alone."""
        return bool(self.shapes("params"))

    def shapes(self, part: str) -> dict[str, jax.ShapeDtypeStruct]:
        """The paths, shapes and dtypes of one part of the state; {}: it is not there."""
        return {
            path.partition("/")[2]: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for path, leaf in self._arrays.items()
            if _part(path) == part
        }

    @functools.cached_property
    def _arrays(self) -> dict[str, Any]:
        with self._readable():
            folder: Any = self.path / "state"  # Orbax asks for its own kind of Path, and takes any
            return dict(ocp.PyTreeCheckpointHandler().metadata(folder).tree)

    def restore(self, abstract: Any) -> Any:
        """Read the state, or some of its parts.

        Args:
            abstract: a pytree of jax.ShapeDtypeStruct (or arrays), each with the sharding to
                restore it with; without one it comes to the first device. What it holds at its
                top level is read, as a whole; the rest of the state is not touched:
                {"ema_params": ...} reads nothing else.

        Returns:
            The same pytree, of arrays.

        Raises:
            UserError: its names, shapes or dtypes are not the checkpoint's, or it is damaged.
        """
        wanted = {path: _target(leaf) for path, leaf in _by_path(abstract).items()}
        self._check(wanted)
        args = ocp.args.PyTreeRestore(
            item=wanted,
            restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
            partial_restore=True,
        )
        with self._readable():
            reader = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
            arrays = reader.restore(self.path / "state", args=args)
        leaves = [arrays[path] for path in wanted]
        return jax.tree.unflatten(jax.tree.structure(abstract), leaves)

    def _check(self, wanted: Mapping[str, jax.ShapeDtypeStruct]) -> None:
        # Orbax would cast dtypes silently, and say of names only how many differ.
        there = {path: _shown(leaf) for path, leaf in self._arrays.items()}
        here = {path: _shown(leaf) for path, leaf in wanted.items()}
        parts = {_part(path) for path in here}
        for path in [*here, *(path for path in there if _part(path) in parts)]:
            a, b = there.get(path, "absent"), here.get(path, "absent")
            if a != b:
                raise UserError(
                    f"{self.path} does not fit this model: {path} is {a} there and {b} here; "
                    "use the version of glide_jax that wrote it, or another workdir"
                )

    def _read_json(self, item: str) -> Any:
        # Not by a Checkpointer, which starts JAX: what is read here says how the CPU is divided.
        folder: Any = self.path / item
        with self._readable():
            return ocp.JsonCheckpointHandler().restore(folder, args=ocp.args.JsonRestore())

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turns whatever reading a broken file raises into one line."""
        try:
            yield
        except (UserError, MemoryError, jax.errors.JaxRuntimeError):
            raise  # too little memory is no fault of the file
        except Exception as error:
            # Orbax and TensorStore raise anything here, down to plain Exception.
            earlier = [s for s in _steps(self.path.parent) if s < self.step]
            rest = f"go on from step {max(earlier)}" if earlier else "start again"
            raise UserError(
                f"{self.path} is damaged ({type(error).__name__}); delete it to {rest}"
            ) from error


class Checkpoints:
    """The checkpoints of one run, to write and to go on from. A context manager.

    Args:
        directory: where they lie; made if it is not there.
        keep: how many are kept, the newest.
        experiment: the run's; stored in each checkpoint.
        tokenizer: its `to_dict`; stored in each. Where there is a checkpoint, that one's.

    Raises:
        UserError: the directory can't be written to, or holds another experiment's checkpoints.
        ValueError: the tokenizer is not the one of the checkpoints there.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: int,
        experiment: config.Experiment,
        tokenizer: dict[str, Any],
    ):
        self.directory = Path(directory).absolute()
        refuse_another_run(self.directory, experiment)
        found = find_checkpoint(self.directory)
        if found and found.tokenizer != tokenizer:
            raise ValueError(f"{found.path} has another tokenizer: go on with that one")
        self._meta = {"config": config.to_dict(experiment), "tokenizer": tokenizer}
        self._writing: int | None = None
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_handlers={
                # Weights compress by a thirteenth, in twice the time.
                "state": ocp.PyTreeCheckpointHandler(use_compression=False),
                "data": ocp.JsonCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True),
        )

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, once what is being written is on disk."""
        self.wait()
        return find_checkpoint(self.directory)

    def save(self, step: int, state: Any, data_state: dict[str, Any]) -> None:
        """Start to write a checkpoint; returns as soon as `state` may be donated.

        A step that is the newest on disk already is not written again.

        Args:
            step: steps taken; later than every checkpoint's there.
            state: a pytree of arrays.
            data_state: where the data iterator stands; JSON-able.

        Raises:
            UserError: this checkpoint, or the one before, could not be written.
            ValueError: there is a later one.
        """
        newest = self._manager.latest_step()
        if newest == step:
            return
        if newest is not None and newest > step:
            raise ValueError(f"step {step} comes after step {newest} in {self.directory}")
        items = ocp.args.Composite(
            state=ocp.args.PyTreeSave(_by_path(state)),
            data=ocp.args.JsonSave(data_state),
            meta=ocp.args.JsonSave(self._meta),
        )
        self.wait()
        self._writing = step
        self._do(lambda: self._manager.save(step, args=items))

    def wait(self) -> None:
        """Return when everything is on disk; UserError: the last `save` could not be finished."""
        self._do(self._manager.wait_until_finished)

    def close(self) -> None:
        """Wait, and let go; UserError: the last `save` could not be finished."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _do(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            # Room that only half a checkpoint takes is room for the next.
            for part in self.directory.glob(f"{self._writing}.*-tmp*"):
                shutil.rmtree(part, ignore_errors=True)
            found = find_checkpoint(self.directory)
            rest = f"step {found.step} is whole" if found else "there is no earlier one"
            raise UserError(
                f"{reason}: step {self._writing} could not be saved in {self.directory}; {rest}: "
                "put that right and run the same command again"
            ) from error


def checkpoints_of(workdir: Path, stage: str) -> Path:
    """Where the checkpoints of a workdir's stage lie."""
    return workdir / stage / CHECKPOINTS


def find_checkpoint(directory: str | Path) -> Checkpoint | None:
    """The newest whole checkpoint in a directory; None: there is none."""
    directory = Path(directory).absolute()
    if not directory.is_dir():
        return None
    steps = _steps(directory)
    return Checkpoint(directory, max(steps)) if steps else None


def open_checkpoint(directory: str | Path) -> Checkpoint:
    """The newest whole checkpoint in a directory, for those who need one.

    Raises:
        UserError: there is none, or only a half-written one.
    """
    if found := find_checkpoint(directory):
        return found
    how = "train first: python -m glide_jax.main --config=configs/quickstart.py --workdir=DIR"
    if next(Path(directory).glob("*-tmp*"), None):
        raise UserError(f"{directory} holds only a half-written checkpoint; {how}")
    raise UserError(f"no checkpoint in {directory}; {how}")


def refuse_another_run(directory: str | Path, experiment: config.Experiment) -> None:
    """Make sure that a run may write its checkpoints to a directory, and go on from those there.

    Raises:
        UserError: it can't be written to, or holds another experiment's checkpoints.
    """
    directory = Path(directory).absolute()
    _make_writable(directory)
    found = find_checkpoint(directory)
    if found is None:
        return
    may_change = config.MAY_CHANGE if found.is_of_a_run else config.MAY_CHANGE_BEFORE
    if conflicts := config.conflicts(found.experiment, experiment, may_change):
        raise UserError(
            f"{directory} holds another experiment's checkpoints (theirs → yours: "
            f"{a_few(conflicts, '; ')}); choose another --workdir"
        )


def _steps(directory: Path) -> list[int]:
    """The whole checkpoints in a directory; anything else there is not looked at."""
    return [int(f.name) for f in directory.iterdir() if f.name.isdigit() and f.is_dir()]


def _by_path(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _part(path: str) -> str:
    return path.partition("/")[0]


def _target(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _shown(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _make_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"can't write to {directory}: {error.strerror}; choose another --workdir"
        ) from error


def _reason(error: BaseException | None) -> str | None:
    """What of the disk made a save fail; None: something else did."""
    while error is not None:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        # TensorStore passes the system's words on, in exceptions of no particular type.
        for code in (errno.ENOSPC, errno.EDQUOT):
            full = full or os.strerror(code) in str(error)
        if full:
            return "the disk is full"
        if isinstance(error, OSError):
            return error.strerror or str(error)
        error = error.__cause__ or error.__context__
    return None
