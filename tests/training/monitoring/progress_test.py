"""The line says what is so, and its speed leaves out what is no training."""

import io
import json

import numpy as np
import pytest

from glide_jax.progress import Choice, progress_choice
from glide_jax.training.monitoring.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def progress(stream, clock, start=0):
    return Progress("base", start, num_steps=1000, batch_size=8, stream=stream, clock=clock)


def test_compilation_is_not_counted_in_the_speed():
    stream, clock = io.StringIO(), Clock()
    p = progress(stream, clock)
    assert p.is_first
    clock.now += 60
    assert p.update(1, 0.9) == {}
    assert not p.is_first
    clock.now += 10
    assert p.update(101, 0.12345) == {"images_per_s": 80.0, "input_wait": 0.0}
    first, second = stream.getvalue().splitlines()
    assert first == "base 1/1000  loss 0.9000  compiled, 1:00 elapsed"
    assert second == "base 101/1000  loss 0.1235  80 images/s  1:10 elapsed  1:30 left"


def test_a_resumed_run_counts_its_own_steps():
    clock = Clock()
    p = progress(io.StringIO(), clock, start=500)
    p.update(501, 0.0)
    clock.now += 10
    assert p.update(511, 0.0)["images_per_s"] == 8.0


def test_time_spent_on_other_things_is_not_counted_in_the_speed():
    clock = Clock()
    p = progress(io.StringIO(), clock)
    p.update(1, 0.0)
    clock.now += 5
    with p.paused():
        clock.now += 1000
    clock.now += 5
    assert p.update(11, 0.0)["images_per_s"] == 8.0


def test_figures_are_of_the_time_since_the_last_line_and_the_line_of_all():
    stream, clock = io.StringIO(), Clock()
    p = progress(stream, clock)
    p.update(1, 0.0)
    clock.now += 10
    p.update(11, 0.0)
    with p.waiting():
        clock.now += 5
    clock.now += 15
    assert p.update(21, 0.0) == {"images_per_s": 4.0, "input_wait": 0.25}
    assert "5.33 images/s" in stream.getvalue()
    clock.now += 1
    assert p.update(22, 0.0)["input_wait"] == 0.0


def test_a_pause_before_the_first_update_does_no_harm():
    p = progress(io.StringIO(), Clock())
    with p.paused():
        pass
    assert p.is_first


def test_a_program_is_given_numbers():
    stream, clock = io.StringIO(), Clock()
    with progress_choice(Choice("json", "none")), progress(stream, clock) as p:
        p.update(1, 0.5)
        clock.now += 10
        p.update(101, 0.25)
        p.show_images(np.zeros((2, 8, 8, 3), np.uint8))
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["task"], first["done"], first["left_s"]) == ("base", 1, None)
    assert (second["done"], second["total"], second["left_s"]) == (101, 1000, 89.9)
    assert second["figures"] == {"loss": 0.25, "images_per_s": 80.0, "elapsed_s": 10.0}


def test_a_terminal_has_one_line_whatever_else_is_done(monkeypatch):
    """And what the newest grid looks like."""
    for name, value in {"COLUMNS": "60", "LINES": "24", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    stream, clock = Terminal(), Clock()
    with progress_choice(Choice("auto", "blocks")), progress(stream, clock) as p:
        p.update(1, 0.5)
        clock.now += 1
        p.update(2, 0.25)
        with p.paused():
            pass
        p.show_images(np.zeros((2, 8, 8, 3), np.uint8))
        p.update(1000, 0.25)
        assert stream.getvalue().partition("▀")[0].count("\n") == 1
    assert "base 1000/1000" in stream.getvalue()
    assert stream.getvalue().count("▀") >= 2 * 32
    assert stream.getvalue().removesuffix("\x1b[?25h").endswith("\n")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (100_000, "27:46:40")]
)
def test_times_are_readable(seconds, shown):
    stream, clock = io.StringIO(), Clock()
    p = progress(stream, clock)
    clock.now += seconds
    p.update(1, 0.0)
    assert f"compiled, {shown} elapsed" in stream.getvalue()
