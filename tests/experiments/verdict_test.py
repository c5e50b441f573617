"""Intervals cover what they should, and the rule decides by them alone."""

import math

import numpy as np
import pytest

from glide_jax.evaluation.maths.intervals import Interval
from glide_jax.experiments.verdict import (
    NOT_REPRODUCED,
    REPRODUCED,
    UNDECIDED,
    AtLeast,
    Difference,
    EloDifference,
    Finding,
    figure_of,
    findings_of,
    points_of,
    verdict,
)


def found(low, high, above=0.0):
    return Finding("difference", "respects", "a − b", above, Interval((low + high) / 2, low, high))


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([found(0.1, 0.3)], REPRODUCED),
        ([found(-0.1, 0.3)], UNDECIDED),
        ([found(0.0, 0.3)], UNDECIDED),
        ([found(-0.3, -0.1)], NOT_REPRODUCED),
        ([found(-0.3, 0.0)], NOT_REPRODUCED),
        ([found(0.1, 0.3), found(-0.1, 0.3)], UNDECIDED),
        ([found(0.1, 0.3), found(-0.1, 0.3), found(-0.3, -0.1)], NOT_REPRODUCED),
        # No worse than by 0.2.
        ([found(-0.1, 0.3, above=-0.2)], REPRODUCED),
        ([found(0.1, 0.3, above=0.4)], NOT_REPRODUCED),
        (
            [Finding("elo", "respects", "infinite", 0.0, Interval(math.nan, -math.inf, math.inf))],
            UNDECIDED,
        ),
    ],
)
def test_the_rule(findings, expected):
    assert verdict(findings) == expected


def table(seeds=3, rows=100, lift=0.0, seed=0):
    """Two arms whose rows are alike: a hard caption is hard for both."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.1, 0.9, rows)
    shared = rng.uniform(0, 1, (seeds, rows))
    return {
        name: {"prompt_truth": (shared < chance + extra).astype(float)}
        for name, extra in (("a", lift), ("b", 0.0))
    }


def test_a_difference_is_paired():
    (one,) = findings_of([Difference("prompt_truth", "a", "b")], table(lift=0.1))
    assert one.interval.value == pytest.approx(0.1, abs=0.04)
    assert one.interval.low > 0
    alone = figure_of(table()["a"]["prompt_truth"], is_binary=True)
    assert one.interval.high - one.interval.low < 0.8 * (alone.high - alone.low)
    (same,) = findings_of([Difference("prompt_truth", "a", "b")], table())
    assert same.interval == (0, 0, 0)
    assert verdict([same]) == NOT_REPRODUCED, "nothing is above nothing"


def test_seeds_of_a_caption_are_no_captions_of_their_own():
    """Ten seeds that all say the same are worth one."""
    rng = np.random.default_rng(0)
    once = (rng.uniform(0, 1, (1, 60)) < 0.6).astype(float)
    single, tenfold = (figure_of(np.repeat(once, n, 0), is_binary=True) for n in (1, 10))
    assert tenfold.value == single.value
    assert tenfold.high - tenfold.low == pytest.approx(single.high - single.low, rel=0.05)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    inside = 0
    for seed in range(100):
        values = (np.random.default_rng(seed).uniform(0, 1, (3, 50)) < 0.8).astype(float)
        one = figure_of(values, is_binary=True)
        inside += one.low <= 0.8 <= one.high
    assert inside >= 90


def test_rows_that_say_nothing_are_left_out():
    values = np.array([[1.0, math.nan, 0.0, 1.0], [1.0, math.nan, 0.0, math.nan]])
    assert figure_of(values, is_binary=True).value == pytest.approx(3 / 5)
    assert figure_of(values, is_binary=False).value == pytest.approx(2 / 3)
    both = {"a": {"s": values}, "b": {"s": np.zeros((2, 4))}}
    assert Difference("s", "a", "b").interval(both).value == pytest.approx(2 / 3)


def test_elo_by_a_score_ranks_as_the_score_does():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (2, 80))
    arms = {"low": values - 0.3, "high": values + 0.3, "mid": values}
    shuffled = {n: {"s": rng.permuted(v, axis=1)} for n, v in arms.items()}
    names = tuple(shuffled)
    points = points_of(shuffled, names, "s")
    assert points.shape == (80, 3, 3)
    each = points + points.transpose(0, 2, 1)
    assert (each == 2 * (1 - np.eye(3))[None]).all(), "each pair once a seed"
    one = EloDifference("s", "high", "low", names)
    interval = one.interval(shuffled)
    assert 0 < interval.low < interval.value < interval.high
    reverse = EloDifference("s", "low", "high", names).interval(shuffled)
    assert reverse.value == pytest.approx(-interval.value)


def test_elo_of_arms_that_always_win_has_no_end():
    always = {"a": {"s": np.ones((1, 9))}, "b": {"s": np.zeros((1, 9))}}
    interval = EloDifference("s", "a", "b", ("a", "b")).interval(always)
    assert (interval.low, interval.high) == (-math.inf, math.inf)


def test_a_share_that_is_at_least_so_much():
    values = {"a": {"found": (np.arange(200)[None] < 150).astype(float)}}
    one = findings_of([AtLeast("found", "a", 0.5)], values)
    assert verdict(one) == REPRODUCED
    assert one[0].interval.value == 0.75
