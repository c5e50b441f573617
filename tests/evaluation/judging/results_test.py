"""Results: counted by hand, and as people and programs read them."""

import json
import math

import pytest
from evaluation.judging.judging_toys import vote

from glide_jax.evaluation.judging.results import lines_of, results_of


def pair_votes():
    """b wins 6 : 3 against a, with one tie, from both sides, each on a prompt of its own."""
    outcomes = [("a", "b", "right")] * 3 + [("b", "a", "left")] * 3
    outcomes += [("a", "b", "left")] * 2 + [("b", "a", "right"), ("b", "a", "neither")]
    return [vote(*outcome, prompt=f"p{i}") for i, outcome in enumerate(outcomes)]


def test_a_pair_is_counted_from_either_side():
    (result,) = results_of(pair_votes()).values()
    assert (result["votes"], result["judges"], result["prompts"]) == (10, 1, 10)
    (row,) = result["win_rates"]
    assert (row["model"], row["against"]) == ("a", "b")
    assert (row["won"], row["tied"], row["lost"]) == (3, 1, 6)
    assert row["rate"]["value"] == 0.35
    assert row["rate"]["low"] < 0.35 < row["rate"]["high"]
    difference = result["elo"]["b"]["value"] - result["elo"]["a"]["value"]
    assert difference == pytest.approx(400 * math.log10(0.65 / 0.35))
    assert result["unbeaten"] == []


def test_votes_of_pairs_that_were_never_shown_together_still_rank():
    votes = [vote("a", "b", "left"), vote("a", "b", "right", "q"), vote("b", "c", "left")]
    votes += [vote("c", "b", "left", "q"), vote("b", "c", "left", "r")]
    (result,) = results_of(votes).values()
    assert [(r["model"], r["against"]) for r in result["win_rates"]] == [("a", "b"), ("b", "c")]
    elo = {model: entry["value"] for model, entry in result["elo"].items()}
    assert elo["a"] == pytest.approx(elo["b"])
    assert elo["b"] - elo["c"] == pytest.approx(400 * math.log10(2))
    assert sum(elo.values()) == pytest.approx(0, abs=1e-9)


def test_somebody_unbeaten_has_a_win_rate_and_no_elo():
    votes = [vote("a", "b", "left", f"p{i}") for i in range(4)]
    results = results_of(votes)
    result = results["photorealism"]
    assert (result["elo"], result["unbeaten"]) == (None, ["a"])
    assert result["win_rates"][0]["rate"]["value"] == 1
    assert "nobody has a vote against a" in "\n".join(lines_of(results))


def test_ratings_are_100_50_and_0():
    votes = [
        vote("a", None, answer, prompt, judge, "alignment")
        for prompt, answers in {"p": ["yes", "somewhat"], "q": ["no", "yes"]}.items()
        for judge, answer in zip("jk", answers, strict=True)
    ]
    result = results_of(votes)["alignment"]
    assert (result["votes"], result["judges"], result["prompts"]) == (4, 2, 2)
    rating = result["ratings"]["a"]
    assert rating["value"] == 62.5
    assert 0 <= rating["low"] < 62.5 < rating["high"] <= 100
    assert (rating["yes"], rating["somewhat"], rating["no"]) == (2, 1, 1)


def test_lines_say_what_was_counted():
    lines = lines_of(results_of([*pair_votes(), vote("a", None, "yes", question="alignment")]))
    assert lines[0] == "photorealism: 10 votes, 1 judge, 10 prompts; 95 % intervals"
    assert lines[1].startswith("  b  Elo +54 (")
    assert lines[3].startswith("  a against b: wins 35.0 (")
    assert lines[3].endswith(") %, of 3 won, 1 tied, 6 lost")
    assert lines[-1] == "  a  100.0 (0.0 … 100.0) of 100: 1 yes, 0 somewhat, 0 no"
    assert lines_of({}) == ["no votes yet"]


def test_one_prompt_s_infinite_interval_is_json():
    votes = [vote("a", "b", "left"), vote("a", "b", "right", judge="k")]
    results = results_of(votes)
    assert results["photorealism"]["elo"]["a"] == {"value": 0, "low": None, "high": None}
    json.dumps(results, allow_nan=False)
    assert "Elo +0 (? … ?)" in "\n".join(lines_of(results))
