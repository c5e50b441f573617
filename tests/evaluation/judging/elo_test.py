"""Elo scores: closed forms, the minimum itself, known scores recovered from simulated judges."""

import math

import numpy as np
import pytest
from evaluation.judging import judging_toys
from scipy import stats

from glide_jax.evaluation.judging.elo import elo_scores, expected_score, unbeaten


def values(scores):
    return np.array([score.value for score in scores])


def loss(wins, sigma):
    """L_elo of arXiv 2112.10741, word for word."""
    n = len(wins)
    return -sum(
        wins[i, j] * math.log10(1 / (1 + 10 ** ((sigma[j] - sigma[i]) / 400)))
        for i in range(n)
        for j in range(n)
    )


def two(won, lost, tied=0):
    """One vote a prompt."""
    points = np.zeros((won + lost + tied, 2, 2))
    points[:, 0, 1] = [1] * won + [0] * lost + [0.5] * tied
    points[:, 1, 0] = 1 - points[:, 0, 1]
    return points


@pytest.mark.parametrize(("won", "lost", "tied"), [(75, 25, 0), (10, 1, 0), (60, 20, 40)])
def test_of_two_models_the_difference_is_the_log_odds(won, lost, tied):
    first, second = values(elo_scores(two(won, lost, tied)))
    odds = (won + tied / 2) / (lost + tied / 2)
    assert first - second == pytest.approx(400 * math.log10(odds), abs=1e-8)
    assert first + second == pytest.approx(0, abs=1e-9)


def test_a_difference_of_400_is_odds_of_ten_to_one():
    assert expected_score(np.array([400.0, 0, -400])) == pytest.approx([10 / 11, 1 / 2, 1 / 11])


def test_of_two_models_the_interval_is_that_of_the_log_odds():
    first, second = elo_scores(two(75, 25))
    error = 400 / math.log(10) / math.sqrt(100 * 0.75 * 0.25) / 2  # half: each moves by half
    half = stats.t.ppf(0.975, 99) * error
    assert first.high - first.value == pytest.approx(half, rel=1e-9)
    assert second.value - second.low == pytest.approx(half, rel=1e-9)


def test_judges_who_always_agree_count_once():
    points = two(60, 40)
    np.testing.assert_allclose(elo_scores(5 * points), elo_scores(points), rtol=1e-8)


def test_ties_alone_are_no_certainty():
    first, _ = elo_scores(two(0, 0, 20))
    assert first.value == pytest.approx(0, abs=1e-12)
    assert first.high > 50


@pytest.mark.parametrize("n", [3, 6])
def test_the_scores_minimise_the_paper_s_objective(n):
    rng = np.random.default_rng(n)
    points = rng.integers(0, 3, (20, n, n)) / 2 * (1 - np.eye(n))
    scores = values(elo_scores(points))
    least = loss(points.sum(0), scores)
    for _ in range(20):
        assert loss(points.sum(0), scores + rng.normal(0, 1, n)) > least
    assert scores.mean() == pytest.approx(0, abs=1e-9)


def test_the_order_of_the_models_changes_nothing():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 2, (30, 4, 4)) * (1 - np.eye(4))
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        np.array(elo_scores(points))[order], elo_scores(points[:, order][:, :, order]), rtol=1e-8
    )


def test_extreme_odds_converge():
    scores = values(elo_scores(two(10**5, 1)))
    assert scores[0] - scores[1] == pytest.approx(2000, abs=1e-6)


@pytest.mark.parametrize(
    ("wins", "who"),
    [
        ([[0, 3], [0, 0]], [0]),
        ([[0, 1, 0], [1, 0, 0], [2, 2, 0]], [2]),
        ([[0, 1, 2], [1, 0, 2], [0, 0, 0]], [0, 1]),
        ([[0, 0], [0, 0]], [0]),
    ],
)
def test_where_somebody_never_loses_there_is_no_score(wins, who):
    points = np.array(wins, float)[None]
    assert elo_scores(points) is None
    assert unbeaten(points) == who
    assert unbeaten(points + 1 - np.eye(len(wins))) is None


def test_one_prompt_has_no_interval():
    first, _ = elo_scores(np.array([[[0.0, 3], [1, 0]]]))
    assert (first.low, first.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("ties", [0, 0.3])
def test_known_scores_are_recovered(ties):
    """Ties are half a win, so they pull the scores together: the paper's dilution."""
    true = np.array([120.0, 40, -30, -130])
    chances = expected_score(true[:, None] - true[None])
    points = judging_toys.simulate(np.random.default_rng(1), chances, 20_000, ties)
    found = values(elo_scores(points))
    if not ties:
        np.testing.assert_allclose(found, true, atol=6)
    else:
        assert np.all(np.diff(found) < 0)
        assert np.ptp(found) < 0.85 * np.ptp(true)


def test_intervals_cover_the_truth():
    true = np.array([90.0, 0, -90])
    chances = expected_score(true[:, None] - true[None])
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(400):
        found = elo_scores(judging_toys.simulate(rng, chances, 50))
        covered += [s.low <= t <= s.high for s, t in zip(found, true, strict=True)]
    assert 0.93 <= np.mean(covered) <= 0.985
