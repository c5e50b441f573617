"""From a source to the batches of one process, in an order that only (seed, step) decides.

    shuffled → repeated → decoded, square → what is told of it → a process's rows, stacked

Chance is used before the rows are shared out: at every step the processes' batches, one after the
other, are the same global batch, however many processes there are. Batch k can be made without
those before it, so the position is one number.
"""

import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import grain
import numpy as np
from absl import flags

from glide_jax.data import images
from glide_jax.data.source import Source
from glide_jax.data.told import Row, Told, Words
from glide_jax.errors import UserError

CACHE_BYTES = 2**29
"""A data set whose decoded squares fit in this much memory is decoded once, not every epoch."""

MAX_BROKEN_IN_A_ROW = 100
"""More pictures one after the other that can't be read, and something else is wrong than they."""

_BATCHES_AHEAD = 2
_log = logging.getLogger(__name__)
Batch = dict[str, np.ndarray]
Square = tuple[np.ndarray, Words, bool]
"""uint8[s s 3], what is said of it, and whether it stands in for a broken picture."""


def batches(
    source: Source,
    told: Told,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    process_index: int,
    process_count: int,
    workers: int,
    start_step: int,
) -> "Batches":
    """Return the endless batches of one process.

    Args:
        source: the pictures; may be fewer than a batch.
        told: what a model is told of a picture.
        image_size: s, side in pixels.
        batch_size: of all processes together, a multiple of process_count.
        seed: decides the order, which is another in every epoch, and what is chance in `told`.
        process_index: whose rows to read, 0 ≤ process_index < process_count.
        process_count: how many share a batch.
        workers: processes to decode in; 0: a thread of this one.
        start_step: the step of the first batch.

    Returns:
        An iterator of {"image": f32[b s s 3] in [-1, 1], "stand_in": bool[b], whether it stands
        in for one that can't be read} and the rows of `told`, stacked, b = batch_size /
        process_count. Close it.

    Raises:
        UserError: the source is empty; at a batch: MAX_BROKEN_IN_A_ROW pictures can't be read,
            or as `told`.
        ValueError: batch_size is not a multiple of process_count.
    """
    if not len(source):
        raise UserError("the data set has no pictures: choose another split or path")
    if batch_size % process_count:
        raise ValueError(f"{batch_size=} is not a multiple of {process_count=}")
    squares = _Squares(source, image_size, CACHE_BYTES // max(workers, 1))
    rows = (
        grain.MapDataset.source(squares)
        .seed(seed % 2**32)
        .shuffle()
        .repeat()
        .random_map(functools.partial(_row, told))
    )
    count = batch_size // process_count
    share = functools.partial(_share, rows, batch_size, process_index * count, count)
    return Batches(grain.MapDataset.range(sys.maxsize).map(share), workers, start_step)


class Batches(Iterator[Batch]):
    """An endless iterator that knows its place. Use as a context manager, or close it."""

    def __init__(self, dataset: grain.MapDataset, workers: int, start_step: int):
        self._dataset = dataset
        self._workers = workers
        self._open(start_step)

    def __next__(self) -> Batch:
        batch = next(self._iterator)
        self._step += 1
        # Only here: between processes uint8 is a quarter of the bytes.
        return batch | {"image": images.to_float(batch["image"])}

    def state(self) -> dict[str, int]:
        """Return the position: the step whose batch comes next. Good for any process count."""
        return {"next_index": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        """Go to a position that `state` returned, forwards or back."""
        self.close()
        self._open(state["next_index"])

    def close(self) -> None:
        """Stop the threads and processes that read ahead."""
        self._iterator.close()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, step: int) -> None:
        self._step = step
        read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_BATCHES_AHEAD)
        dataset = self._dataset[step:].to_iter_dataset(read)
        if self._workers:
            # grain hands its flags to its workers; who is not an absl program never parsed any.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(num_workers=self._workers)
            dataset = dataset.mp_prefetch(options, worker_init_fn=_leave_stopping)
        self._iterator = iter(dataset)


class _Squares:
    """A source of (uint8[s s 3], words) that keeps what it decoded if all of it fits."""

    def __init__(self, source: Source, size: int, cache_bytes: int):
        self._arguments = (source, size, cache_bytes)
        self._source = source
        self._size = size
        n = len(source) if len(source) * size * size * 3 <= cache_bytes else 0
        self._pixels = np.empty((n, size, size, 3), np.uint8)  # untouched pages take no memory
        self._words: list[Words | None] = [None] * n
        self._stand_in = np.zeros(n, np.bool_)
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Square:
        if not self._words:
            return self._read(index)
        words = self._words[index]
        if words is None:
            self._pixels[index], words, self._stand_in[index] = self._read(index)
            self._words[index] = words  # last: it says that the rest is there
        return self._pixels[index], words, bool(self._stand_in[index])

    def __reduce__(self) -> tuple[Any, ...]:
        return _Squares, self._arguments

    def _read(self, index: int) -> Square:
        """The picture, or where it can't be read the next that can: the same one every time."""
        first = None
        for ahead in range(min(len(self), MAX_BROKEN_IN_A_ROW)):
            place = (index + ahead) % len(self)
            try:
                example = self._source[place]
                pixels = images.square(example.image, self._size)
                return pixels, (example.captions, example.label), ahead > 0
            except images.BrokenImage as error:
                first = first or error
                self._tell(place, error)
        raise UserError(
            f"{min(len(self), MAX_BROKEN_IN_A_ROW)} pictures one after the other can't be read; "
            f"the first: {first}"
        )

    def _tell(self, place: int, error: images.BrokenImage) -> None:
        """Say so at the 1st, 2nd, 4th, 8th … broken picture."""
        self._broken.add(place)
        count = len(self._broken)
        if count & (count - 1) == 0:
            one = f"{count} pictures" if count > 1 else "a picture"
            _log.warning("%s left out, others stand in; the last: %s", one, error)


def _leave_stopping(worker_index: int, worker_count: int) -> None:
    """Leave Ctrl-C and SIGTERM, which may reach all of a job's processes, to the parent.

    It has a step to finish, and may need us for it; then it ends us in another way.
    """
    del worker_index, worker_count
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end: one that was killed can't end us, and nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _row(told: Told, element: Square, rng: np.random.Generator) -> Row:
    pixels, words, stand_in = element
    return {"image": pixels, "stand_in": np.bool_(stand_in)} | told(words, rng)


def _share(rows: grain.MapDataset, batch_size: int, first: int, count: int, step: int) -> Batch:
    """Stack `count` rows of the global batch of a step, from `first` on."""
    start = step * batch_size + first
    share: list[Any] = [rows[i] for i in range(start, start + count)]
    return {key: np.stack([row[key] for row in share]) for key in share[0]}
