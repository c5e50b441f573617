"""The one line of a UserError, whatever is in it."""

from pathlib import Path

import pytest
import tiny

from glide_jax import cli, entry
from glide_jax.checkpoints import refuse_another_run
from glide_jax.errors import UserError
from glide_jax.writing import DiskError, atomic_path


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", r"a\nb.png"),
        ("a\r\x1b[31m", r"a\r\x1b[31m"),
        ("a\u2028b\x85", r"a\u2028b\x85"),
        ("a\x00\udc80", r"a\x00\udc80"),
        ("café 猫 👩🏽‍🚒 \\n", "café 猫 👩🏽‍🚒 \\n"),
    ],
)
def test_a_message_is_one_line_whatever_a_file_is_called(name, shown, capsys):
    def fail():
        raise DiskError(f"can't read {name}")

    assert str(UserError(f"can't read {name}")) == f"can't read {shown}"
    assert entry.status_of(fail) == entry.BAD_INPUT
    assert capsys.readouterr().err == f"error: can't read {shown}\n"


def test_of_a_message_that_nobody_would_read_the_middle_is_left_out():
    line = str(UserError(f"not {'9' * 100_000}: give a number"))
    assert len(line) < 4000
    assert line.startswith("not 99")
    assert line.endswith("9: give a number")


@pytest.mark.parametrize(
    "words",
    [
        ["info", "{}"],
        ["report", "{}"],
        ["export", "{}", "--out=a.safetensors"],
        ["import", "{}", "--out=a"],
        ["evaluate", "--checkpoint={}"],
        ["sample", "a", "--checkpoint={}"],
        ["sample", "--prompts-file={}"],
        ["sample", "--like={}"],
        ["judge", "{}"],
        ["judge", "--results", "--votes={}"],
        ["train", "--config={}"],
        ["data", "check", "folder", "--path={}"],
        ["data", "check", "webdataset", "--path={}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    "path", ["x" * 300, "x/" * 3000, "file/x", "loop", "\0", "\udc80"], ids=lambda p: ascii(p)[:9]
)
def test_a_path_that_the_system_refuses_is_one_line(words, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert cli.main([word.replace("{}", path) for word in words]) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_an_output_without_a_name_is_one_line():
    with pytest.raises(DiskError, match="it is a folder"), atomic_path(Path()):
        pass


def test_a_workdir_that_is_not_utf_8_is_one_line(tmp_path):
    with pytest.raises(UserError, match="not UTF-8"):
        refuse_another_run(tmp_path / "\udc80", tiny.experiment())
    assert list(tmp_path.iterdir()) == []
