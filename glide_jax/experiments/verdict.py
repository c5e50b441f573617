"""Figures with their intervals, and the one rule that decides every claim.

    reproduced       the interval of every comparison is above its number
    not reproduced   the interval of a comparison is at or below its number
    undecided        anything else

A row is a caption or an image, measured with several seeds. What varies is which rows were taken:
a row's seeds are averaged first, and rows are resampled, the same ones in both arms of a
difference. Intervals are of 95 %, each for itself: of many comparisons that hold, some would by
chance, which the rule makes up for by asking for all of a claim's.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from glide_jax.evaluation.judging.elo import elo_scores
from glide_jax.evaluation.judging.shares import share
from glide_jax.evaluation.maths.bootstrap import mean_interval
from glide_jax.evaluation.maths.intervals import LEVEL, Interval
from glide_jax.experiments.claim import Comparison, Table

RESAMPLES = 1000

REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"

_MINUS = " − "

DIFFERENCE, SHARE, ELO = "difference", "share", "elo"
"""Kinds of comparisons: of two arms' scores, of an arm's with a number, of two arms' Elo scores."""

HOLDS, FAILS, OPEN = "holds", "fails", "open"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A comparison as it was found.

    Attributes:
        kind, score, text, above: see Comparison.
        interval: the difference.
    """

    kind: str
    score: str
    text: str
    above: float
    interval: Interval

    @property
    def outcome(self) -> str:
        """HOLDS, FAILS or OPEN."""
        if self.interval.low > self.above:
            return HOLDS
        return FAILS if self.interval.high <= self.above else OPEN


def findings_of(comparisons: Sequence[Comparison], table: Table) -> list[Finding]:
    """Each comparison's finding."""
    return [
        Finding(one.kind, one.score, one.text, one.above, one.interval(table))
        for one in comparisons
    ]


def verdict(findings: Sequence[Finding]) -> str:
    """REPRODUCED, NOT_REPRODUCED or UNDECIDED, see above."""
    outcomes = {finding.outcome for finding in findings}
    if FAILS in outcomes:
        return NOT_REPRODUCED
    return REPRODUCED if outcomes == {HOLDS} else UNDECIDED


def figure_of(values: np.ndarray, *, is_binary: bool) -> Interval:
    """The mean of a score, with its interval.

    Args:
        values: f64[seeds n]; NaN where a row says nothing.
        is_binary: whether the values are 0 and 1. Their interval is Wilson's for as many votes as
            a row's seeds are worth, see `judging.shares`; of others the bootstrap's.
    """
    values = values[:, ~np.isnan(values).all(0)]
    if is_binary:
        known = ~np.isnan(values)
        return share(np.where(known, values, 0).sum(0), known.sum(0).astype(np.float64))
    return mean_interval(np.nanmean(values, 0), resamples=RESAMPLES, seed=0)


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of a score in one arm, less that in another, over the rows that both say it of.

    Attributes:
        score: its name.
        arm, other: names of arms.
        above: what the claim says that the difference is above; below 0: that `arm` is no worse
            than by so much.
    """

    score: str
    arm: str
    other: str
    above: float = 0.0
    kind: ClassVar[str] = DIFFERENCE

    @property
    def text(self) -> str:
        """What is compared, in words."""
        return f"{self.score}: {self.arm}{_MINUS}{self.other}"

    def interval(self, table: Table) -> Interval:
        """The difference, by the paired bootstrap over rows."""
        differences = table[self.arm][self.score] - table[self.other][self.score]
        each = differences[:, ~np.isnan(differences).all(0)]
        return mean_interval(np.nanmean(each, 0), resamples=RESAMPLES, seed=0)


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """The mean of a score of 0 and 1 in one arm, which the claim says is above a number.

    Attributes:
        score: its name.
        arm: of an arm.
        above: the number.
    """

    score: str
    arm: str
    above: float
    kind: ClassVar[str] = SHARE

    @property
    def text(self) -> str:
        """What is compared, in words."""
        return f"{self.score}: {self.arm}"

    def interval(self, table: Table) -> Interval:
        """The share and its interval, see `figure_of`."""
        return figure_of(table[self.arm][self.score], is_binary=True)


@dataclasses.dataclass(frozen=True)
class EloDifference:
    """The Elo score of one arm, less that of another; a higher score wins, an equal one ties.

    Attributes:
        score: by which images are judged.
        arm, other: names of arms.
        among: the arms that are judged, those two among them.
        above: see Difference.
    """

    score: str
    arm: str
    other: str
    among: tuple[str, ...]
    above: float = 0.0
    kind: ClassVar[str] = ELO

    @property
    def text(self) -> str:
        """What is compared, in words."""
        return f"Elo by {self.score}: {self.arm}{_MINUS}{self.other}"

    def interval(self, table: Table) -> Interval:
        """The difference, by the bootstrap over rows.

        Infinite where some arms have won, or tied, nothing against the others in a resample.
        """
        points = points_of(table, self.among, self.score)
        i, j = self.among.index(self.arm), self.among.index(self.other)

        def difference(rows: np.ndarray) -> float:
            found = elo_scores(points[rows])
            return math.nan if found is None else found[i].value - found[j].value

        random, count = np.random.default_rng(0), len(points)
        each = [difference(random.integers(count, size=count)) for _ in range(RESAMPLES)]
        value = difference(np.arange(count))
        if np.isnan(each).any() or math.isnan(value):
            return Interval(value, -math.inf, math.inf)
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(each, [tail, 1 - tail])
        return Interval(value, float(low), float(high))


def points_of(table: Table, arms: Sequence[str], score: str) -> np.ndarray:
    """f64[n arms arms]: of each row, how often arm i beat arm j over the seeds; a tie is a half."""
    values = np.stack([table[arm][score] for arm in arms])  # [arms seeds n]
    better = values[:, None] > values[None, :]
    equal = values[:, None] == values[None, :]
    points = (better + 0.5 * equal).sum(2)
    points[np.arange(len(arms)), np.arange(len(arms))] = 0
    return np.moveaxis(points, -1, 0)
