"""A few of the inputs that `tests/stress/fuzz.py` makes by the thousand."""

import logging

import pytest
from stress import fuzz, fuzz_data

FAST = (
    *("captions", "tars", "images", "masks", "prompts", "configs", "commands"),
    *("prompt sets", "image sets"),
)
"""Kinds whose cases take milliseconds; the others make a model first."""


def test_fuzzed_inputs_give_a_result_or_one_line(monkeypatch):
    log = logging.getLogger("glide_jax")  # the commands change it
    for name in ("propagate", "level", "handlers"):
        monkeypatch.setattr(log, name, getattr(log, name))
    outcomes = list(fuzz.run(36, 1, FAST))
    assert [outcome for outcome in outcomes if outcome.failed] == []
    assert {outcome.result for outcome in outcomes} == {"result", "one line"}
    assert {outcome.kind for outcome in outcomes} == set(FAST)


@pytest.mark.parametrize(
    ("action", "result"),
    [
        (lambda: None, "result"),
        (lambda: fuzz_data.pick(None, ()), "traceback"),
        (lambda: exec("while True: pass"), "hang"),
        (lambda: (_ for _ in ()).throw(fuzz.UserError("no such file")), "one line"),
        (lambda: (_ for _ in ()).throw(fuzz.UserError("")), "not one line"),
        (lambda: (_ for _ in ()).throw(fuzz_data.Lost("3 of 4")), "lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_fails_is_seen(action, result, monkeypatch):
    monkeypatch.setattr(fuzz, "TIMEOUT_S", 0.2)
    monkeypatch.setitem(fuzz.KINDS, "mine", lambda rng, folder: action())
    (outcome,) = fuzz.run(1, 0, ("mine",))
    assert (outcome.result, outcome.failed) == (result, result not in ("result", "one line"))


def test_a_case_is_the_same_input_every_time():
    (again,) = fuzz.run(1, 1, FAST, only=9)
    other = list(fuzz.run(10, 1, FAST))[9]
    assert (again.case, again.kind, again.result) == (other.case, other.kind, other.result)
