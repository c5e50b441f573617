"""A count with the time that is left: in a log now and then, for programs always."""

import io
import json

import pytest

from glide_jax.progress import Choice, Counter, progress_choice


def counted(mode, total, steps, **more):
    stream = io.StringIO()
    times = iter([0.0, *(seconds for seconds, _ in steps)])
    with (
        progress_choice(Choice(mode, "none")),
        Counter(stream, "a.pt", total, "bytes", clock=lambda: next(times), **more) as counter,
    ):
        for _, count in steps:
            counter.advance(count)
    return stream.getvalue().splitlines()


STEPS = [(1.0, 1000), (31.0, 499_000), (40.0, 1), (62.0, 499_999)]


def test_a_log_has_a_line_each_half_minute():
    assert counted("plain", 1_500_000, STEPS) == [
        "a.pt: 500k of 1.5M bytes, 16.1k/s, 1:02 left",
        "a.pt: 1M of 1.5M bytes, 16.1k/s, 0:31 left",
    ]
    assert counted("plain", 1000, [(1.0, 1000)]) == ["a.pt: 1k of 1k bytes, 1k/s, 0:00 left"]


def test_a_log_may_have_none():
    assert counted("plain", 1_500_000, STEPS, log_every_s=None) == []
    assert counted("quiet", 1_500_000, STEPS) == []


def test_a_program_is_told_all_and_what_was_there_before_has_no_speed():
    lines = [json.loads(line) for line in counted("json", 2_000_000, STEPS, done=500_000)]
    assert [line["done"] for line in lines] == [501_000, 1_000_000, 1_000_001, 1_500_000]
    assert {line["total"] for line in lines} == {2_000_000}
    assert lines[-1]["left_s"] == 31.0


@pytest.mark.parametrize(
    ("count", "shown"),
    [(999, "999 bytes, 24/s"), (1540, "1.54k bytes, 38/s"), (3 * 10**12, "3T bytes, 75G/s")],
)
def test_without_a_total_the_count_alone_is_shown(count, shown):
    assert counted("plain", None, [(40.0, count)]) == [f"a.pt: {shown}"]
