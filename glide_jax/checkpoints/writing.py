"""Writing checkpoints: in the background, complete or not at all."""

import dataclasses
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from glide_jax import __version__, config
from glide_jax.checkpoints.layout import by_path, incomplete_checkpoints
from glide_jax.checkpoints.reading import Checkpoint, DataSet, find_checkpoint
from glide_jax.checkpoints.staging import InBucket
from glide_jax.errors import UserError, a_few
from glide_jax.storage import check_writable, is_in_bucket, storage_path


class Checkpoints:
    """The checkpoints of one job, to write and to continue from. A context manager.

    Args:
        directory: the folder of checkpoints, local or in a bucket; made if it does not exist.
        keep: how many are kept, the newest.
        experiment: stored in each checkpoint.
        tokenizer: its `to_dict`, stored in each; that of the checkpoints there, if there are any.
        data_set: what is trained on, stored in each; None: nothing is.
        base: the fingerprint of the weights that an adapter changes, or of a teacher's, stored in
            each; None: there are none.

    Raises:
        UserError: the directory can't be written to, or holds checkpoints of another experiment, of
            other data, with another tokenizer, or of an adapter or a student of other weights.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        keep: int,
        experiment: config.Experiment,
        tokenizer: dict[str, Any],
        data_set: DataSet | None = None,
        base: str | None = None,
    ):
        self.directory = storage_path(directory).absolute()
        refuse_another_run(self.directory, experiment)
        if data_set:
            refuse_other_data(self.directory, experiment, data_set)
        found = find_checkpoint(self.directory)
        if found and found.tokenizer != tokenizer:
            raise UserError(
                f"{found.path} has another tokenizer than this run's other checkpoints: it is "
                "damaged, or of another run; put back its own, or choose another --workdir"
            )
        if found and found.base != base:
            raise UserError(
                f"{found.path} was begun with other weights than training.init_from has now: set "
                "it to the workdir, and the step, that the adapter, or the student, was begun with"
            )
        self._meta = {
            "version": __version__,
            "config": config.to_dict(experiment),
            "tokenizer": tokenizer,
            "data": dataclasses.asdict(data_set) if data_set else None,
            "base": base,
        }
        self._writing: int | None = None
        self._writer: OnDisk | InBucket
        if is_in_bucket(self.directory):
            self._writer = InBucket(self.directory, keep)
        else:
            self._writer = OnDisk(self.directory, keep)

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint, after waiting for the one being written."""
        self.wait()
        found = find_checkpoint(self.directory)
        if jax.process_count() == 1 or not is_in_bucket(self.directory):
            return found
        # A process that was slow to die may have completed a step since another one looked.
        step = int(multihost_utils.broadcast_one_to_all(np.int32(found.step if found else -1)))
        return None if step < 0 else Checkpoint(self.directory, step)

    def save(self, step: int, state: Any, data_state: dict[str, Any]) -> None:
        """Start to write a checkpoint; returns as soon as `state` may be donated.

        Nothing is written if this step is the newest on disk already.

        Args:
            step: steps taken, more than in every checkpoint on disk.
            state: a pytree of arrays.
            data_state: the state of the data iterator, JSON-able.

        Raises:
            UserError: this checkpoint, or the one before, could not be written.
            ValueError: there is a later one on disk.
        """
        newest = self._writer.latest_step()
        if newest == step:
            return
        if newest is not None and newest > step:
            raise ValueError(f"step {step} comes after step {newest} in {self.directory}")
        items = {"data": data_state, "meta": self._meta}
        self.wait()
        self._writing = step
        self._do(lambda: self._writer.save(step, state, items))

    def wait(self) -> None:
        """Wait until everything is on disk; UserError: the last `save` could not be finished."""
        self._do(self._writer.wait_until_finished)

    def close(self) -> None:
        """Wait, and release the directory; UserError: the last `save` could not be finished."""
        try:
            self.wait()
        finally:
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _do(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:
            reason = _disk_reason(error)
            if reason is None:
                raise
            # The space that an incomplete checkpoint takes is needed for the next one.
            kept = self._writer.give_up(self._writing)
            raise UserError(
                f"{reason}: step {self._writing} could not be saved in {self.directory}; "
                f"{earlier_step(self.directory)}{kept}: fix that and run the same command again"
            ) from error


class OnDisk:
    """Writes the checkpoints of a local folder in the background, and deletes old ones.

    Args:
        directory: the folder.
        keep: how many are kept, the newest.
    """

    def __init__(self, directory: Path, keep: int):
        self._directory = directory
        self._manager = ocp.CheckpointManager(
            directory,
            item_handlers={
                # Compression would save a thirteenth of the space and take twice the time.
                "state": ocp.PyTreeCheckpointHandler(use_compression=False),
                "data": ocp.JsonCheckpointHandler(),
                "meta": ocp.JsonCheckpointHandler(),
            },
            options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True),
        )

    def latest_step(self) -> int | None:
        """The newest step on disk; None: there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, items: dict[str, Any]) -> None:
        """Start to write a checkpoint; returns as soon as `state` may be donated.

        Args:
            step: more than all before.
            state: a pytree of arrays.
            items: `data` and `meta`, JSON-able.
        """
        each = {name: ocp.args.JsonSave(item) for name, item in items.items()}
        args = ocp.args.Composite(state=ocp.args.PyTreeSave(by_path(state)), **each)
        self._manager.save(step, args=args)

    def wait_until_finished(self) -> None:
        """Wait until everything is on disk; raises what made that fail."""
        self._manager.wait_until_finished()

    def give_up(self, step: int | None) -> str:
        """Delete what a failed save left; nothing of it is kept: ""."""
        for part in incomplete_checkpoints(self._directory, step) if step is not None else ():
            shutil.rmtree(part, ignore_errors=True)
        return ""

    def close(self) -> None:
        """Release the directory."""
        self._manager.close()


def earlier_step(directory: Path) -> str:
    """Which step a run continues from where the newest could not be saved, in words."""
    try:
        found = find_checkpoint(directory)
    except (OSError, UserError):  # it may be why
        return "which earlier one is complete can't be read"
    return f"step {found.step} is complete" if found else "there is no earlier one"


def refuse_another_run(directory: str | Path, experiment: config.Experiment) -> None:
    """Check that a run may write checkpoints to a directory, and continue from those there.

    Raises:
        UserError: it can't be written to, or holds another experiment's checkpoints.
    """
    directory = storage_path(directory).absolute()
    _make_writable(directory)
    found = find_checkpoint(directory)
    if found is None:
        return
    may_change = config.MAY_CHANGE_BEFORE
    if found.is_of_a_run:
        may_change = config.MAY_CHANGE_WITH_FINGERPRINT if found.data_set else config.MAY_CHANGE
    if conflicts := config.conflicts(found.experiment, experiment, may_change):
        raise UserError(
            f"{directory} holds another experiment's checkpoints (theirs → yours: "
            f"{a_few(conflicts, '; ')}); choose another --workdir"
        )


def refuse_other_data(
    directory: str | Path, experiment: config.Experiment, data_set: DataSet
) -> None:
    """Check that a run continues from the checkpoints in a directory with the data of these.

    Checkpoints that record no data are not checked.

    Args:
        directory: the folder of checkpoints.
        experiment: which would continue.
        data_set: its data.

    Raises:
        UserError: the data are others.
    """
    found = find_checkpoint(directory)
    theirs = found.data_set if found and found.is_of_a_run else None
    if found is None or theirs is None or theirs == data_set:
        return
    counts = f"{theirs.images:,} images then, {data_set.images:,} now"
    if theirs.images == data_set.images:
        counts = f"{theirs.images:,} images then and now, of other names, sizes or captions"
    workdir, stage = found.path.parents[2], next(iter(experiment.stages))
    raise UserError(
        f"data.source={experiment.data.source} at {experiment.data.path or 'its default path'} is "
        f"not what {found.path} was trained on ({counts}): set data.path to those, or start a run "
        f"from its weights in another --workdir, with "
        f"--config.stages.{stage}.training.init_from={workdir}"
    )


def _make_writable(directory: Path) -> None:
    try:
        str(directory).encode()
    except UnicodeEncodeError as error:  # TensorStore takes nothing else
        raise UserError(
            f"can't write to {directory}: its name is not UTF-8; choose another --workdir"
        ) from error
    try:
        if is_in_bucket(directory):
            check_writable(directory)
            return
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UserError(
            f"can't write to {directory}: {error.strerror}; choose another --workdir"
        ) from error


def _disk_reason(error: BaseException | None) -> str | None:
    """Why the disk made a save fail; None: the disk did not."""
    while error is not None:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        # TensorStore wraps the system's message in exceptions of no particular type.
        for code in (errno.ENOSPC, errno.EDQUOT):
            is_full = is_full or os.strerror(code) in str(error)
        if is_full:
            return "the disk is full"
        if isinstance(error, OSError):
            return error.strerror or str(error)
        error = error.__cause__ or error.__context__
    return None
