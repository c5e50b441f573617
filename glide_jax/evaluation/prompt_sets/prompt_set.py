"""A PromptSet: what each image is to show, the category of each, and what can be checked of it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

from glide_jax.sampling.request import Subject


@dataclasses.dataclass(frozen=True)
class PromptSet:
    """Prompts in their order. Image i shows row i; row i does not depend on how many are asked for.

    Attributes:
        name: what people call it.
        fingerprint: says whether two sets have the same rows, of whatever number.
        subjects: n of them: a caption, a class, or neither.
        categories: of each, the categories that it is in; (): the set has none.
        facts: what each caption asserts; (): nothing can be checked.
        source: the data set that the facts are of, such as `shapes/64`; "": of none.
    """

    name: str
    fingerprint: str
    subjects: tuple[Subject, ...]
    categories: tuple[tuple[str, ...], ...] = ()
    facts: tuple[Mapping[str, Any], ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def captions(self) -> list[str]:
        """Each row's caption."""
        return [subject.prompt for subject in self.subjects]

    @property
    def has_captions(self) -> bool:
        """Whether every row has a caption."""
        return all(self.captions)

    def first(self, count: int) -> Self:
        """As many rows as that, from the first again where there are fewer."""
        rows = [i % len(self) for i in range(count)]
        return dataclasses.replace(
            self,
            subjects=tuple(self.subjects[i] for i in rows),
            categories=tuple(self.categories[i] for i in rows) if self.categories else (),
            facts=tuple(self.facts[i] for i in rows) if self.facts else (),
        )

    def rows_of(self) -> dict[str, Sequence[int]]:
        """Category → its rows, in the order in which the categories first appear."""
        found: dict[str, list[int]] = {}
        for row, names in enumerate(self.categories):
            for name in names:
                found.setdefault(name, []).append(row)
        return dict(found)
