"""The contract of a data set: images with captions, read in any order.

A module that offers a data set has the two functions below, and one line of `data.SOURCES` names
it. In the data set's name, "shapes/64", `variant` is what follows the slash ("" if nothing does).

    prepare(variant: str, path: str) -> None                    # write it to disk, once
    open_split(variant: str, path: str, split: str) -> Source   # UserError: unknown variant, split

A data set whose parts may be missing when a run goes on has a third, and its source is `Kept`:

    open_kept(variant: str, path: str, split: str, file: Path) -> Source | None

A data set made by TensorFlow Datasets needs only its builder: `prepared` stores and reads it.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Example:
    """One image with its captions.

    Attributes:
        image: uint8[h w 3], RGB.
        captions: one or more, none of them empty; each describes the image by itself.
        facts: what the captions assert, for a scorer to check; {} where nothing can check it.
        label: the index of the image's class, from 0; None: it has none.
    """

    image: np.ndarray
    captions: tuple[str, ...]
    facts: Mapping[str, Any]
    label: int | None = None


def checked_index(i: int, count: int) -> int:
    """Return i as a Python int.

    Raises:
        IndexError: not 0 ≤ i < count.
    """
    if not 0 <= i < count:
        raise IndexError(f"image {i} of {count}")
    return int(i)


def fingerprint_of(parts: Iterable[str | int | bytes]) -> str:
    """Return a hexadecimal digest of a sequence; the same parts in the same order give the same."""
    digest = hashlib.sha256()
    for part in parts:
        # A file name that is not UTF-8 has lone surrogates.
        text = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8))
        digest.update(text)
    return digest.hexdigest()[:32]


@runtime_checkable
class Source(Protocol):
    """A split of a data set: random access, picklable, safe to read from several threads.

    Every Example has a caption. A source skips images without one and counts them in its log; if
    finding them takes too long, they raise BrokenImage when they are read.

    A source whose images come over a network has an attribute `is_far` that is True: several are
    then read at the same time.
    """

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, by label; (): the labels have no names; None: no labels."""
        ...

    @property
    def fingerprint(self) -> str:
        """What says, without reading an image, whether two splits hold the same data, in order.

        Such as a digest of all names, captions and sizes. It is the same wherever the data lie and
        whenever they were written, so that a run resumes after they have moved.
        """
        ...

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, i: int) -> Example:
        """Read and decode image i, 0 ≤ i < len.

        Raises:
            IndexError: i is outside this range.
            BrokenImage: the image can't be read, or has no caption.
        """
        ...

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without decoding it.

        (): it has none, and reading it raises BrokenImage.
        """
        ...


@runtime_checkable
class Kept(Protocol):
    """A split whose parts may be missing when a run goes on; see `data.open_kept`."""

    def keep(self, file: Path) -> None:
        """Write what a run needs to know of them then.

        Raises:
            DiskError: it can't be written.
        """
        ...
