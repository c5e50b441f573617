"""A test split for images that come without one: an image's name alone decides."""

import hashlib
from collections.abc import Sequence

from glide_jax.errors import UserError, unknown_name

TEST_PERCENT = 5
"""How many percent of the images are held out as the test split, on average."""

MIN_TO_SPLIT = 100
"""Fewer images than this are not split: a test split of five says nothing."""


def check_split(split: str, where: str) -> None:
    """Raise UserError unless `split` is "train" or "test"; `where` names the data set."""
    if split not in ("train", "test"):
        raise unknown_name(f"split of {where}", split, ("train", "test"))


def held_out(names: Sequence[str]) -> list[bool]:
    """Return for each image whether it is in the test split; all False if there are too few."""
    if len(names) < MIN_TO_SPLIT:
        return [False] * len(names)
    return [_in_test(name) for name in names]


def describe_split(tests: Sequence[bool]) -> str:
    """Return how many images each split has, in words.

    Args:
        tests: of each image, whether it is in the test split (see `held_out`).
    """
    if len(tests) < MIN_TO_SPLIT:
        return f"fewer than {MIN_TO_SPLIT} are not split: all are in train"
    return f"{len(tests) - sum(tests)} in train, {sum(tests)} held out as test"


def split_indices(tests: Sequence[bool], split: str, summary: str) -> list[int]:
    """Return the indices of a split's images among all images.

    Args:
        tests: of each image, whether it is in the test split (see `held_out`).
        split: "train" or "test".
        summary: the data set in words, for the error.

    Raises:
        UserError: the split is empty.
    """
    chosen = [i for i, is_test in enumerate(tests) if is_test == (split == "test")]
    if not chosen:
        raise UserError(f"{summary}; there is no {split} split to open")
    return chosen


def _in_test(name: str) -> bool:
    # Python reads the bytes of a file name that are not UTF-8 as lone surrogates.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) % 100 < TEST_PERCENT
