"""Pace: time left from what steps took, without what compiling took."""

import pytest

from glide_jax.web.serve.pace import Pace

STAGES = [("base", 10), ("upsampler", 4)]


def run(watch, base_s, up_s, start=0.0, until=14):
    """Steps of both stages; a stage's first comes after 50 s of compiling."""
    now, seen = start, []
    plan = [("base", i, base_s) for i in range(1, 11)] + [
        ("upsampler", i, up_s) for i in range(1, 5)
    ]
    for stage, step, seconds in plan[:until]:
        now += 50 if step == 1 else seconds
        watch.advance(stage, step, now)
        seen.append((watch.fraction, watch.seconds_left))
    return seen


def test_nothing_is_said_before_anything_is_known():
    watch = Pace().watch("kind", STAGES)
    assert (watch.fraction, watch.seconds_left) == (0, None)
    assert run(watch, 1, 2, until=5)[-1][1] is None  # the second stage may take any time


def test_the_second_batch_knows_how_long_it_takes():
    pace = Pace()
    run(pace.watch("kind", STAGES), 1, 2)
    watch = pace.watch("kind", STAGES)
    assert watch.seconds_left == pytest.approx(10 + 8)
    seen = run(watch, 1, 2)
    assert [left for _, left in seen] == pytest.approx([*range(17, 7, -1), 6, 4, 2, 0])
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert fractions[9] == pytest.approx(10 / 18)


def test_another_kind_is_not_known_and_few_are_remembered():
    pace = Pace()
    for kind in range(100):
        run(pace.watch(kind, STAGES), 1, 2)
    assert pace.watch("other", STAGES).seconds_left is None
    assert pace.watch(0, STAGES).seconds_left is None
    assert pace.watch(99, STAGES).seconds_left is not None


@pytest.mark.parametrize(("steps", "every"), [(3, 1), (25, 1), (100, 4), (1000, 40)])
def test_a_long_loop_is_not_stopped_at_every_step(steps, every):
    assert Pace().watch("kind", [("base", steps)]).every == every
