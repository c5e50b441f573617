"""A result as people read it: arms and findings, and why its verdict is what it is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from glide_jax.experiments.scores import SCORES
from glide_jax.experiments.verdict import (
    ELO,
    FAILS,
    HOLDS,
    NOT_REPRODUCED,
    OPEN,
    REPRODUCED,
    SHARE,
)

_FEW = 3

_OUTCOMES = {
    HOLDS: "as the claim says",
    FAILS: "against the claim",
    OPEN: "undecided",
}


def table(result: Mapping[str, Any]) -> str:
    """The arms with their scores, the findings and the verdict, in lines."""
    arms = result["arms"]
    names = [n for n in SCORES if any(n in arm["figures"] for arm in arms)]
    rows = [["", *(SCORES[name].title for name in names)]]
    for arm in arms:
        figures = arm["figures"]
        rows.append([arm["name"], *(figure(n, figures[n]) if n in figures else "" for n in names)])
    found = [[one["text"], finding(one), _OUTCOMES[one["outcome"]]] for one in result["findings"]]
    lines = [*_aligned(rows), "", *_aligned(found), "", result["verdict"]]
    return "\n".join(lines)


def figure(name: str, numbers: Mapping[str, float | None]) -> str:
    """`94.5 % (92.1 … 96.2)` of a score."""
    score, unit = SCORES[name], 100 if SCORES[name].percent else 1
    ends = " … ".join(_end(numbers[end], unit, "") for end in ("low", "high"))
    value = numbers["value"]
    return f"{'?' if value is None else score.shown(value)} ({ends})"


def finding(one: Mapping[str, Any]) -> str:
    """`+3.1 points (+0.8 … +5.4)` of a difference; `82.8 % (77.7 … 87.0)` of an arm's own score."""
    name = one["score"]
    if one["kind"] == SHARE:
        return f"{figure(name, one)}, claimed above {SCORES[name].shown(one['above'])}"
    percent = SCORES[name].percent and one["kind"] != ELO
    unit = 100 if percent else 1
    ends = " … ".join(_end(one[end], unit, "+") for end in ("low", "high"))
    wanted = f", claimed above {_end(one['above'], unit, '+')}" if one["above"] else ""
    return f"{_end(one['value'], unit, '+')}{' points' * percent} ({ends}){wanted}"


def why(result: Mapping[str, Any]) -> str:
    """The findings that decide the verdict; of more than three, the nearest to its number."""
    deciding = {REPRODUCED: HOLDS, NOT_REPRODUCED: FAILS}.get(result["verdict"], OPEN)
    own = [one for one in result["findings"] if one["outcome"] == deciding]
    shown, before = own, ""
    if len(own) > _FEW:
        shown = [min(own, key=lambda one: abs(one["value"] - one["above"]))]
        before = f"{len(own)} comparisons, the nearest of which is "
    return before + "; ".join(f"{one['text']} {finding(one)}" for one in shown)


def _end(number: float | None, unit: float, sign: str) -> str:
    if number is None or math.isnan(number):
        return "?"
    scaled = unit * number
    text = f"{scaled:{sign}.1f}" if unit == 100 or abs(scaled) >= 10 else f"{scaled:{sign}.3g}"
    return text.replace("-", "−")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
