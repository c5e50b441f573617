"""A test split for pictures that come without one: decided by their names alone."""

import hashlib
from collections.abc import Sequence

from glide_jax.errors import UserError, unknown_name

TEST_PERCENT = 5
"""Of the pictures, kept back as the test split; which ones depends on their names alone."""

MIN_TO_SPLIT = 100
"""Fewer pictures than this are not split: five of them would not tell anything."""


def check_split(split: str, where: str) -> None:
    """Raises UserError unless it is "train" or "test"."""
    if split not in ("train", "test"):
        raise unknown_name(f"split of {where}", split, ("train", "test"))


def kept_back(names: Sequence[str]) -> list[bool]:
    """Which pictures are the test split's; none, where there are too few to split."""
    if len(names) < MIN_TO_SPLIT:
        return [False] * len(names)
    return [_in_test(name) for name in names]


def places(tests: Sequence[bool], split: str, summary: str) -> list[int]:
    """The places of a split's pictures among all.

    Args:
        tests: as `kept_back` says of all pictures.
        split: "train" or "test".
        summary: what they are, for the error.

    Raises:
        UserError: it is the test split, and there is none.
    """
    chosen = [i for i, is_test in enumerate(tests) if is_test == (split == "test")]
    if not chosen:
        raise UserError(f"{summary}; there is no {split} split to open")
    return chosen


def _in_test(name: str) -> bool:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 100 < TEST_PERCENT
