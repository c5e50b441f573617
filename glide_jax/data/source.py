"""What a data set is to the rest of the house: captioned pictures, read in any order.

A module that offers a data set exposes two functions, and one line of `data.SOURCES` names it.
A data set is asked for as "shapes/64": `variant` is what follows the slash ("" if nothing does).

    prepare(variant: str, path: str) -> None                    # make it on disk, once
    open_split(variant: str, path: str, split: str) -> Source   # UserError: unknown variant, split

A data set made by TensorFlow Datasets needs only its builder: `prepared` stores and reads it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Example:
    """One picture and what people say of it.

    Attributes:
        image: uint8[h w 3], RGB.
        captions: one or more wordings; each is true of the picture by itself.
        facts: what the captions assert, for a scorer to check ({} where nothing can check it).
        label: the number of its class, from 0; None: it is of none, or nobody says which.
    """

    image: np.ndarray
    captions: tuple[str, ...]
    facts: Mapping[str, Any]
    label: int | None = None


def checked(i: int, count: int) -> int:
    """The place i of `count` pictures, as a plain int; IndexError: there is none."""
    if not 0 <= i < count:
        raise IndexError(f"picture {i} of {count}")
    return int(i)


@runtime_checkable
class Source(Protocol):
    """A split of a data set. Random access, picklable, safe to read from several threads."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes that labels number; (): they have none. None: no labels."""
        ...

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def __getitem__(self, i: int) -> Example:
        """Read and decode picture i, 0 ≤ i < len; IndexError beyond."""
        ...

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of picture i without decoding it."""
        ...
