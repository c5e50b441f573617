"""Checkpoints in a bucket: written here first, then copied, and complete with their markers.

Their files are those of a disk, but each array has a folder of its own. Each process writes the
chunks of the arrays that it holds, of which no two processes have the same, see `markers`.
"""

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from glide_jax.checkpoints.layout import by_path, names_in
from glide_jax.checkpoints.markers import marked_steps, marker_name, step_of
from glide_jax.storage import BucketError, Scratch, remove_tree, upload

_OTHERS_S = 900.0
"""How long another process may take longer to write its part of a checkpoint."""

_POLL_S = 0.5


def _own_handler() -> ocp.PyTreeCheckpointHandler:
    """Writes what this process has of a state into a folder that no other process sees."""
    # Of several processes each is its own first one: the others would wait for its folders.
    first = None if jax.process_count() > 1 else 0
    arrays = ocp.type_handlers.ArrayHandler(primary_host=first, replica_id=0)
    return ocp.PyTreeCheckpointHandler(
        use_compression=False,
        # A folder an array: what is wanted of a state can be fetched without the rest, and the
        # processes have no index to merge.
        use_ocdbt=False,
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=first),
        type_handler_registry=ocp.type_handlers.create_type_handler_registry((jax.Array, arrays)),
    )


class InBucket:
    """Writes the checkpoints of a bucket's folder in the background, and deletes old ones.

    Args:
        directory: the folder.
        keep: how many complete ones are kept, the newest.

    Attributes:
        scratch: where the newest was written first; deleted when it is in the bucket.
    """

    def __init__(self, directory: Path, keep: int):
        self.directory, self._keep = directory, keep
        self._process, self._count = jax.process_index(), jax.process_count()
        self.scratch: Scratch | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        names = names_in(self.directory)
        steps = marked_steps(names)
        self._newest = max(steps, default=None)
        if self._process == 0:
            for step in {step_of(name) for name in names} - {None, *steps}:
                self._delete(step, names)

    def latest_step(self) -> int | None:
        """The newest step that was saved."""
        return self._newest

    def save(self, step: int, state: Any, items: dict[str, Any]) -> None:
        """Start to write a checkpoint; returns as soon as `state` may be donated.

        Args:
            step: more than all before.
            state: a pytree of arrays.
            items: name → JSON.
        """
        self._newest = step
        self.scratch = scratch = Scratch()
        folder = epath.Path(scratch.folder) / str(step)
        folder.mkdir()
        handler = _own_handler()
        args = ocp.args.PyTreeSave(by_path(state))
        written = asyncio.run(handler.async_save(folder / "state", args=args)) or []

        def finish() -> None:
            for future in written:
                future.result()
            if self._process == 0:
                for name, item in items.items():
                    (folder / name).mkdir()
                    ocp.JsonCheckpointHandler().save(folder / name, args=ocp.args.JsonSave(item))
            marker = marker_name(step, self._process, self._count)
            (folder.parent / marker).write_text("")
            upload(scratch.folder, self.directory, last=[marker])
            scratch.close()
            self.scratch = None
            self._wait_for_others(step)
            if self._process == 0:
                self._delete_old()

        self._start(finish)

    def wait_until_finished(self) -> None:
        """Wait until everything is in the bucket; raises what made that fail."""
        if self._thread:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error:
            raise error

    def give_up(self, step: int | None) -> str:
        """Keep here what could not be copied; where it is, in words."""
        if self.scratch is None:
            return ""
        kept = self.scratch.keep()
        self.scratch = None
        return f"; step {step} is in {kept}, to be copied there"

    def close(self) -> None:
        """Nothing is held."""

    def _start(self, action: Callable[[], None]) -> None:
        def run() -> None:
            try:
                action()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name="checkpoint")
        self._thread.start()

    def _wait_for_others(self, step: int) -> None:
        """Wait until the step is complete, so that all processes find the same newest one."""
        ends = time.monotonic() + _OTHERS_S
        while self._count > 1 and step not in marked_steps(names_in(self.directory)):
            if time.monotonic() > ends:
                raise BucketError(
                    errno.ETIMEDOUT, f"other processes have not written theirs in {_OTHERS_S:g} s"
                )
            time.sleep(_POLL_S)

    def _delete_old(self) -> None:
        names = names_in(self.directory)
        for step in marked_steps(names)[: -self._keep]:
            self._delete(step, names)

    def _delete(self, step: int | None, names: list[str]) -> None:
        """The markers first: what is half deleted is not complete."""
        for name in names:
            if name != str(step) and step_of(name) == step:
                (self.directory / name).unlink(missing_ok=True)
        remove_tree(self.directory / str(step))
