"""From a source to the batches of one process, in an order that (seed, step) alone decide.

    shuffle → repeat → decode, crop and resize → sample the conditioning → stack a process's rows

Everything random happens before the rows are divided among processes: the batches of all
processes, one after the other, are the same global batch for any number of processes. Batch k is
computed without those before it, so the position of the iterator is one number.
"""

import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags

from glide_jax.data import images
from glide_jax.data.conditioning import Annotation, Conditioning, Row
from glide_jax.data.source import Source
from glide_jax.errors import UserError

CACHE_BYTES = 2**29
"""A data set whose resized images fit in this much memory is decoded once, not every epoch."""

MAX_BROKEN_IN_A_ROW = 100
"""If this many consecutive images can't be read, the run stops: it is not a matter of a few."""

MAX_UNAVAILABLE = 64
"""If so many images of places far from each other can't be read now, no shard is there: wait."""

WAIT_LINE_S = 60.0
"""While no image can be read, a line says so as often."""

READS_AT_ONCE = 16
"""How many images of a far source are read at the same time, in each process that reads."""

_BATCHES_AHEAD = 2
_PAUSE_S = 1.0
_log = logging.getLogger(__name__)
Batch = dict[str, np.ndarray]
Square = tuple[np.ndarray, Annotation, bool]
"""(uint8[s s 3], its captions and label, whether it is the replacement of an image that can't be
read)."""


def batches(
    source: Source,
    conditioning: Conditioning,
    *,
    image_size: int,
    crop_size: int,
    batch_size: int,
    seed: int,
    process_index: int,
    process_count: int,
    workers: int,
    start_step: int,
) -> "Batches":
    """Return the endless batches of one process.

    Args:
        source: the images; may be fewer than a batch.
        conditioning: makes the rows that the model is conditioned on.
        image_size: s, the images' side in pixels.
        crop_size: pixels a side of a random part of each, which is s then; 0: all of it.
        batch_size: of all processes together, a multiple of process_count.
        seed: of the order, which differs between epochs, and of the conditioning's random choices.
        process_index: of the process whose rows to read, 0 ≤ process_index < process_count.
        process_count: how many processes share a batch.
        workers: processes that decode; 0: a thread of this process decodes.
        start_step: the step of the first batch.

    Returns:
        An iterator of {"image": f32[b s s 3] in [-1, 1], "replacement": bool[b], whether the image
        replaces one that can't be read} and the stacked rows of the conditioning, where
        b = batch_size / process_count. Close it after use.

    Raises:
        UserError: the source is empty. While iterating: MAX_BROKEN_IN_A_ROW consecutive images
            can't be read, or the conditioning raises it.
        ValueError: batch_size is not a multiple of process_count.
    """
    if not len(source):
        raise UserError("the data set has no images: choose another split or path")
    if batch_size % process_count:
        raise ValueError(f"{batch_size=} is not a multiple of {process_count=}")
    squares = _Squares(source, image_size, CACHE_BYTES // max(workers, 1))
    rows = (
        grain.MapDataset.source(squares)
        .seed(seed % 2**32)
        .shuffle()
        .repeat()
        .random_map(functools.partial(_row, conditioning, crop_size))
    )
    count = batch_size // process_count
    threads = READS_AT_ONCE if getattr(source, "is_far", False) else 1
    share = functools.partial(_share, rows, threads, batch_size, process_index * count, count)
    dataset = grain.MapDataset.range(sys.maxsize).map(share)
    return Batches(dataset, workers, start_step, squares.closing)


class Batches(Iterator[Batch]):
    """An endless iterator that can save and restore its position.

    Close it, or use it as a context manager.

    Args:
        dataset: step → the process's batch of that step, images as uint8.
        workers: as for `batches`.
        start_step: the step of the first batch.
        closing: is set to end a thread of this process that waits for images.
    """

    def __init__(
        self,
        dataset: grain.MapDataset,
        workers: int,
        start_step: int,
        closing: threading.Event,
    ):
        self._dataset = dataset
        self._workers = workers
        self._closing = closing
        self._open(start_step)

    def __next__(self) -> Batch:
        batch = next(self._iterator)
        self._step += 1
        # Converted here, as uint8 is a quarter of the bytes to send between processes.
        return batch | {"image": images.to_float(batch["image"])}

    def state(self) -> dict[str, int]:
        """Return the position, the step of the next batch; valid for any process_count."""
        return {"next_index": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        """Go to a position that `state` returned, earlier or later."""
        self.close()
        self._open(state["next_index"])

    def close(self) -> None:
        """Stop the threads and processes that read ahead."""
        self._closing.set()
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
        self._closing.clear()
        read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_BATCHES_AHEAD)
        dataset = self._dataset[step:].to_iter_dataset(read)
        if self._workers:
            # grain sends absl flags to its workers, and only an absl program has parsed them.
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(num_workers=self._workers)
            dataset = dataset.mp_prefetch(options, worker_init_fn=_ignore_signals)
        self._iterator = iter(dataset)


class _Cache(NamedTuple):
    """Squares that were decoded; where the annotation is None the others are not valid yet."""

    pixels: np.ndarray
    annotations: list[Annotation | None]
    replacement: np.ndarray


class _LastCache:
    """The cache that was made last: jobs that follow each other read the same images."""

    def __init__(self):
        self._source: Source | None = None
        self._cache = _Cache(np.empty((0, 0, 0, 3), np.uint8), [], np.empty(0, np.bool_))

    def of(self, source: Source, size: int, cache_bytes: int) -> _Cache:
        """Room for a source's squares, with those that are there; none if they don't fit."""
        n = len(source) if len(source) * size * size * 3 <= cache_bytes else 0
        shape = (n, size, size, 3)
        if self._source is not source or self._cache.pixels.shape != shape:
            pixels = np.empty(shape, np.uint8)  # untouched pages take no memory
            self._source = source
            self._cache = _Cache(pixels, [None] * n, np.zeros(n, np.bool_))
        return self._cache


_LAST = _LastCache()


class _Squares:
    """Index → Square; keeps the decoded images if all of them fit in the cache.

    Args:
        source: the images.
        size: s, the images' side in pixels.
        cache_bytes: of the cache, at most.
    """

    def __init__(self, source: Source, size: int, cache_bytes: int):
        self._arguments = (source, size, cache_bytes)
        self._source = source
        self._size = size
        self._pixels, self._annotations, self._replacement = _LAST.of(*self._arguments)
        self._broken: set[int] = set()
        self._next_line = 0.0
        self.closing = threading.Event()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Square:
        if not self._annotations:
            return self._found(index)[0]
        annotation = self._annotations[index]
        if annotation is None:
            (pixels, annotation, replaces), may_stay = self._found(index)
            if not may_stay:
                return pixels, annotation, replaces
            self._pixels[index], self._replacement[index] = pixels, replaces
            self._annotations[index] = annotation  # last, as it marks the other two as valid
        return self._pixels[index], annotation, bool(self._replacement[index])

    def __reduce__(self) -> tuple[Any, ...]:
        return _Squares, self._arguments

    def _found(self, index: int) -> tuple[Square, bool]:
        """An image, and whether it is this one's for good.

        If it is broken, the next one that can be read replaces it. If it can't be read now, one far
        away does, which is in another shard; if none can, it waits until one can.
        """
        first, broken, unavailable, at = None, 0, 0, index
        most = min(len(self), MAX_BROKEN_IN_A_ROW)
        # The golden section of all images: no two jumps come near each other.
        jump = max(1, round(0.618034 * len(self)))
        while True:
            if self.closing.is_set():
                raise UserError("stopped while images were read")
            try:
                example = self._source[at]
                pixels = images.square(example.image, self._size)
                square = pixels, (example.captions, example.label), at != index
                return square, not unavailable
            except images.Unavailable as error:
                unavailable += 1
                at = (at + jump) % len(self)
                if unavailable % min(len(self), MAX_UNAVAILABLE) == 0:
                    self._wait(error)
                    at = index
            except images.BrokenImage as error:
                first, broken = first or error, broken + 1
                self._warn(at, error)
                if broken == most:
                    raise UserError(
                        f"{most} consecutive images can't be read; the first: {first}"
                    ) from error
                at = (at + 1) % len(self)

    def _wait(self, error: images.Unavailable) -> None:
        """Wait a little; say now and then that no image can be read."""
        if self.closing.wait(_PAUSE_S):
            raise UserError("stopped while no image could be read")
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + WAIT_LINE_S
            _log.warning("no image can be read, waiting until one can: %s", error)

    def _warn(self, index: int, error: images.BrokenImage) -> None:
        """Warn at the 1st, 2nd, 4th, 8th … broken image."""
        self._broken.add(index)
        count = len(self._broken)
        if count & (count - 1) == 0:
            broken = f"{count} broken images" if count > 1 else "a broken image"
            _log.warning("%s replaced by others; the last: %s", broken, error)


def _ignore_signals(worker_index: int, worker_count: int) -> None:
    """Ignore Ctrl-C, SIGTERM and SIGHUP in a worker; they may reach all processes of a job.

    The parent finishes its step first, for which it may need this worker, and then ends it.
    """
    del worker_index, worker_count
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent has ended: a parent that was killed can't end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _row(
    conditioning: Conditioning, crop_size: int, square: Square, rng: np.random.Generator
) -> Row:
    pixels, annotation, replacement = square
    if crop_size:
        top, left = rng.integers(len(pixels) - crop_size + 1, size=2)
        pixels = pixels[top : top + crop_size, left : left + crop_size]
    return {"image": pixels, "replacement": np.bool_(replacement)} | conditioning(annotation, rng)


def _share(
    rows: grain.MapDataset, threads: int, batch_size: int, first: int, count: int, step: int
) -> Batch:
    """Stack `count` rows of a step's global batch, starting with row `first`.

    Each row has its own random numbers: in which order they are read changes nothing.
    """
    start = step * batch_size + first
    indices = range(start, start + count)
    read = map if threads == 1 else _pool(threads).map
    share: list[Any] = [*read(rows.__getitem__, indices)]
    return {key: np.stack([row[key] for row in share]) for key in share[0]}


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """The threads of this process, which wait for images most of the time."""
    return ThreadPoolExecutor(threads, "images")
