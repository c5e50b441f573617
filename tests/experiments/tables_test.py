"""Findings as people read them, and which of them are the reason."""

import pytest

from glide_jax.experiments.scores import SCORES
from glide_jax.experiments.tables import figure, finding, why


def found(text, value, low, high, above=0.0, outcome="holds", kind="difference"):
    """`SCORE: ARMS`, as findings are written."""
    return {
        "kind": kind,
        "score": text.partition(":")[0],
        "text": text,
        "value": value,
        "low": low,
        "high": high,
        "above": above,
        "outcome": outcome,
    }


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (found("prompt_truth: a − b", 0.031, 0.008, 0.054), "+3.1 points (+0.8 … +5.4)"),
        (found("error: a − b", -0.0123, -0.02, 0.001), "−0.0123 (−0.02 … +0.001)"),
        (found("respects: a − b", 31.26, None, None, kind="elo"), "+31.3 (? … ?)"),
        (
            found("found: t/T 0", 0.828, 0.777, 0.87, above=10 / 64, kind="share"),
            "82.8 % (77.7 … 87.0), claimed above 15.6 %",
        ),
        (
            found("prompt_truth: a − b", 0.0, -0.01, 0.01, above=-0.015),
            "+0.0 points (−1.0 … +1.0), claimed above −1.5",
        ),
    ],
)
def test_a_finding_in_words(one, shown):
    assert finding(one) == shown


def test_a_figure_in_words():
    assert figure("prompt_truth", {"value": 0.945, "low": 0.9, "high": 1.0}) == (
        "94.5 % (90.0 … 100.0)"
    )
    assert figure("error", {"value": 0.01234, "low": 0.01, "high": 0.02}) == "0.01234 (0.01 … 0.02)"


def test_the_reason_is_what_decides():
    findings = [
        found("prompt_truth: a − b", 0.1, 0.05, 0.15),
        found("prompt_truth: b − c", -0.1, -0.15, -0.05, outcome="fails"),
        found("prompt_truth: c − d", 0.0, -0.1, 0.1, outcome="open"),
    ]
    of = {"reproduced": "a − b", "not reproduced": "b − c", "undecided": "c − d"}
    for verdict, text in of.items():
        reason = why({"verdict": verdict, "findings": findings})
        assert reason.startswith(f"prompt_truth: {text} ")
        assert ";" not in reason
    many = [found(f"found: {i}", 0.5 + i / 10, 0.4, 0.9, above=0.1, kind="share") for i in range(4)]
    reason = why({"verdict": "reproduced", "findings": many})
    assert reason.startswith("4 comparisons, the nearest of which is found: 0 50.0 %")


def test_what_is_0_but_for_rounding_is_0():
    assert [SCORES["elo"].shown(x) for x in (-5.7e-15, 5e-4, -12.34567)] == [
        "0",
        "0.0005",
        "-12.35",
    ]
