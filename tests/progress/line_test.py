"""What is no terminal gets lines; programs get JSON; who wants nothing gets nothing."""

import io
import json

import pytest
from progress_toys import task_at

from glide_jax.commands import COMMANDS, find_command
from glide_jax.commands.command import run_command
from glide_jax.commands.progress_options import add_preview, add_progress
from glide_jax.entry import Parser
from glide_jax.progress import MODES, PREVIEWS, Choice, Line, current_choice, progress_choice, say


def shown(mode, *reports):
    stream = io.StringIO()
    with progress_choice(Choice(mode, "auto")), Line(stream) as line:
        for one in reports:
            line.show(one)
        say("by the way", stream)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["auto", "plain"])
def test_a_stream_that_is_no_terminal_gets_a_line_each(mode):
    text = shown(mode, task_at(done=1), task_at(done=2))
    assert text == "64×64: step 1/4\n64×64: step 2/4\nby the way\n"


def test_nothing_is_shown_to_who_wants_quiet():
    assert shown("quiet", task_at()) == ""


def test_json_is_an_object_a_line_with_the_documented_keys():
    text = shown("json", task_at(done=2, loss=0.5, batch=1), task_at(done=3, loss=float("nan")))
    first, second, message = [json.loads(line) for line in text.splitlines()]
    assert text.isascii()
    assert list(first) == [
        *("event", "time", "task", "done", "total", "unit", "left_s", "figures"),
    ]
    assert first["event"] == second["event"] == "progress"
    assert (first["task"], first["done"], first["total"]) == ("64×64", 2, 4)
    assert (first["unit"], first["left_s"]) == ("steps", 2.5)
    assert first["figures"] == {"loss": 0.5, "batch": 1}
    assert second["figures"] == {"loss": None}
    assert message.pop("time") >= second["time"] > 1e9
    assert message == {"event": "message", "text": "by the way"}


def test_only_programs_and_terminals_are_shown_all():
    for mode, expected in {"plain": False, "quiet": False, "json": True, "rich": True}.items():
        with progress_choice(Choice(mode, "none")):
            assert Line(io.StringIO()).shows_all is expected


@pytest.mark.parametrize(
    ("outer", "words", "expected"),
    [
        (None, [], Choice("auto", "auto")),
        (None, ["--progress=json", "--preview", "none"], Choice("json", "none")),
        # `main --mode=sample` calls `sample`, which must not go back to the defaults.
        (Choice("quiet", "blocks"), [], Choice("quiet", "blocks")),
        (Choice("quiet", "blocks"), ["--progress=plain"], Choice("plain", "blocks")),
    ],
    ids=str,
)
def test_the_flags_hold_for_their_command_alone(outer, words, expected):
    seen = []

    def add(parser):
        """A command."""
        add_progress(parser)
        add_preview(parser)
        return lambda arguments: seen.append(current_choice())

    before = current_choice()
    if outer is None:
        run_command("it", add, words)
    else:
        with progress_choice(outer):
            run_command("it", add, words)
    assert seen == [expected]
    assert current_choice() is before


def test_commands_take_the_same_values():
    """Those that show how far they are; those that sample have previews too."""
    found = {}
    for name in COMMANDS:
        parser = Parser()
        find_command(name)(parser)
        found[name] = {a.dest: a.choices for a in parser._actions if a.dest.startswith("pr")}
    have = {name for name, flags in found.items() if flags.get("progress") == MODES}
    preview = {name for name, flags in found.items() if flags.get("preview") == PREVIEWS}
    assert preview == {"train", "sample", "inpaint", "edit", "upsample", "evaluate", "sweep"}
    others = {"encode", "serve", "judge", "reference", "data", "import", "export", "download"}
    assert have == preview | others | {"experiment"}
