"""Shares: closed forms, and intervals that cover what they should."""

import numpy as np
import pytest
from scipy import stats

from glide_jax.evaluation.judging.shares import quantile, share


def wilson(p, n, z):
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


@pytest.mark.parametrize("won", [0, 1, 13, 40])
def test_one_vote_a_prompt_is_wilson_s_interval(won):
    points = np.array([1.0] * won + [0.0] * (40 - won))
    found = share(points, np.ones(40))
    assert found.value == won / 40
    low, high = wilson(won / 40, 40, stats.t.ppf(0.975, 39))
    np.testing.assert_allclose(found[1:], (max(low, 0), min(high, 1)), atol=1e-12)


def test_judges_who_always_agree_count_once():
    points = np.array([1.0] * 13 + [0.0] * 27)
    one = share(points, np.ones(40))
    np.testing.assert_allclose(share(5 * points, np.full(40, 5.0)), one, rtol=1e-12)


def test_all_votes_alike_say_as_much_as_their_prompts():
    np.testing.assert_allclose(
        share(np.full(10, 3.0), np.full(10, 3.0)), share(np.ones(10), np.ones(10)), rtol=1e-12
    )


def test_ties_are_half_a_win_and_never_a_certainty():
    found = share(np.full(30, 0.5), np.ones(30))
    assert found.value == 0.5
    np.testing.assert_allclose(found[1:], wilson(0.5, 30, stats.t.ppf(0.975, 29)), rtol=1e-12)


def test_prompts_without_votes_say_nothing():
    points, counts = np.array([1.0, 0, 0, 1, 1]), np.array([1.0, 0, 1, 1, 1])
    assert share(points, counts) == share(points[counts > 0], counts[counts > 0])


def test_one_prompt_leaves_everything_open_and_none_is_an_error():
    assert share(np.array([3.0]), np.array([4.0])) == (0.75, 0, 1)
    with pytest.raises(ValueError, match="no votes"):
        share(np.zeros(3), np.zeros(3))


def test_the_quantile_is_the_normal_one_of_many_prompts():
    assert quantile(10**7) == pytest.approx(stats.norm.ppf(0.975), abs=1e-5)


@pytest.mark.parametrize("votes", [1, 6])
def test_intervals_cover_the_truth_though_prompts_differ(votes):
    """Each prompt has a chance of its own, so that its votes agree; their mean is 0.6."""
    rng = np.random.default_rng(votes)
    covered = naive = 0
    for _ in range(1000):
        chances = rng.beta(0.6, 0.4, size=60)
        points = rng.binomial(votes, chances).astype(float)
        found = share(points, np.full(60, float(votes)))
        covered += found.low <= 0.6 <= found.high
        low, high = wilson(found.value, 60 * votes, 1.96)
        naive += low <= 0.6 <= high
    assert 0.93 <= covered / 1000 <= 0.975
    if votes > 1:
        assert naive / 1000 < 0.75
