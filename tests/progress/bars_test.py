"""On a terminal a task has one line, which is written over, and a preview below."""

import contextlib
import re
import sys

import pytest
from progress_toys import Terminal, image, task_at

from glide_jax.progress import Choice, Line, progress_choice
from glide_jax.progress.bars import Bars

ESCAPES = re.compile(r"\x1b(?:\[[?\d;]*[a-zA-Z]|[78]|_G.*?\x1b\\|\]1337;.*?\a)")


@pytest.fixture
def open_terminal(monkeypatch):
    with contextlib.ExitStack() as stack:

        def make(**settings):
            terminal = Terminal(monkeypatch, **settings)
            stack.callback(terminal.close)
            return terminal

        yield make


def bars(terminal, preview="none", times=None):
    clock = iter(times).__next__ if times else iter(range(1000)).__next__
    return Bars(terminal.stream, Choice("rich", preview), clock)


def screen(text):
    """What a terminal shows of it: the lines that were not written over."""
    lines, row, kept = [""], 0, 0
    for part in re.findall(
        r"\x1b\[\d*A|\x1b\[2K|\r|\n|" + ESCAPES.pattern + r"|[^\x1b\r\n]+", text
    ):
        if part == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif re.fullmatch(r"\x1b\[\d*A", part):
            row -= int(part[2:-1] or 1)
        elif part in ("\x1b7", "\x1b8"):
            kept, row = (row, row) if part == "\x1b7" else (kept, kept)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return [line.rstrip() for line in lines]


def test_tasks_have_a_line_each_that_is_written_over(open_terminal):
    terminal = open_terminal()
    display = bars(terminal)
    display.show(task_at("64×64", 1))
    display.show(task_at("64×64", 4))
    display.show(task_at("256×256", 1))
    display.show(task_at("256×256", 2))
    first, second = screen(terminal.text())
    assert re.fullmatch(r"64×64 +━{24} step 4/4", first)
    assert re.fullmatch(r"256×256 ━+[╺╸]?━+ step 2/4", second)
    display.end()
    assert screen(terminal.text()) == [first, second, ""]
    assert terminal.text().count("\x1b[?25h") == 1  # the cursor is back
    display.end()
    display.show(task_at("next", 1))
    display.end()
    assert [line.split()[0] for line in screen(terminal.text()) if line] == [
        *("64×64", "256×256", "next")
    ]


def test_what_is_printed_meanwhile_is_above(open_terminal, monkeypatch):
    terminal = open_terminal()
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    display = bars(terminal)
    display.show(task_at("base", 1))
    print("base: continuing from step 7")
    display.show(task_at("base", 2))
    display.end()
    above, line, last = screen(terminal.text())
    assert above == "base: continuing from step 7"
    assert line.startswith("base ")
    assert last == ""
    assert sys.stdout is terminal.stream


def test_what_goes_to_a_file_stays_there(open_terminal, capsys):
    terminal = open_terminal()
    display = bars(terminal)
    display.show(task_at("base", 1))
    print("samples/a.png")
    display.end()
    assert capsys.readouterr().out == "samples/a.png\n"
    assert "a.png" not in terminal.text()


def test_a_narrow_terminal_has_no_bars_and_no_wrapped_lines(open_terminal):
    terminal = open_terminal(columns=20)
    display = bars(terminal)
    display.show(task_at("64×64", 1, 1_000_000_000))
    display.show(task_at("64×64", 2, 1_000_000_000))
    display.end()
    (line, last) = screen(terminal.text())
    assert line.startswith("64×64: step 2/1")
    assert len(line) <= 20
    assert last == ""


def test_many_reports_are_written_ten_times_a_second_and_the_last_one_always(open_terminal):
    terminal = open_terminal()
    display = bars(terminal, times=[0.0, 0.01, 0.02, 0.2, 0.21])
    for done in range(1, 6):
        display.show(task_at("t", done, 5))
    assert re.findall(r"step (\d)/5", terminal.text()) == ["1", "4", "5"]


def test_a_terminal_is_found_and_a_dumb_one_gets_lines(open_terminal, monkeypatch):
    terminal = open_terminal()
    assert Line(terminal.stream).shows_all
    monkeypatch.setenv("TERM", "dumb")
    with Line(terminal.stream) as line:
        line.show(task_at())
    assert terminal.text() == "64×64: step 1/4\n"


def test_half_blocks_have_the_pixels_colours_and_stay(open_terminal):
    terminal, pixels = open_terminal(), image(4, 3)
    with progress_choice(Choice("auto", "auto")), Line(terminal.stream) as line:
        assert line.shows_images
        line.show(task_at(image=pixels))
    text = terminal.text()
    # The terminal has room for four times as many.
    for above, below in zip(pixels[::2].reshape(-1, 3), pixels[1::2].reshape(-1, 3), strict=True):
        for kind, pixel in ((38, above), (48, below)):
            assert f"{kind};2;{';'.join(map(str, pixel))}" in text
    shown = screen(text)
    assert sum("▀" in row for row in shown) > 8
    assert shown[-1] == ""
    assert len(shown) <= 24


@pytest.mark.parametrize(("kind", "start"), [("kitty", "\x1b_Ga=T"), ("iterm2", "\x1b]1337;File=")])
def test_images_of_a_protocol_are_below_the_bars_and_leave_the_cursor(kind, start, open_terminal):
    terminal = open_terminal()
    display = bars(terminal, kind)
    display.show(task_at("64×64", 1, image=image()))
    display.show(task_at("64×64", 4, image=image()))
    once = terminal.text().count(start)
    assert once == 2
    # Below: the lines that the image takes come before it, and the cursor goes up over them.
    rows = int(re.findall(r"[,;](?:r|height)=(\d+)", terminal.text())[0])
    assert 8 < rows < 24
    assert f"\n\x1b7\x1b[{rows - 1}A\r{start}" in terminal.text()
    display.show(task_at("256×256", 1))
    assert terminal.text().count(start) == once
    assert ("\x1b_Ga=d" in terminal.text()) == (kind == "kitty")
    display.end()
    assert [line.split()[0] for line in screen(terminal.text()) if line] == ["64×64", "256×256"]


def test_a_low_terminal_has_a_smaller_preview_or_none(open_terminal):
    for rows, has_preview in ((10, True), (3, False)):
        terminal = open_terminal(rows=rows)
        display = bars(terminal, "blocks")
        display.show(task_at(image=image()))
        display.end()
        assert ("▀" in terminal.text()) == has_preview
        assert len(screen(terminal.text())) <= rows
