"""The notebook is one that Colab opens, and its commands are ones that glide_jax reads."""

import ast
import json
import shlex
from pathlib import Path

import pytest

from glide_jax import config
from glide_jax.commands import find_command
from glide_jax.entry import Parser

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "launch" / "colab_tpu.ipynb").read_text("utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
PROGRAM = "!glide-jax "
COMMANDS = [line for cell in CELLS for line in cell.splitlines() if line.startswith(PROGRAM)]


def test_it_is_a_notebook_for_a_tpu():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 0)
    assert NOTEBOOK["metadata"]["accelerator"] == "TPU"
    for cell in NOTEBOOK["cells"]:
        code = cell["cell_type"] == "code"
        assert {"cell_type", "metadata", "source"} | (
            {"outputs", "execution_count"} if code else set()
        ) == cell.keys()
        assert not code or cell["outputs"] == []


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_no_command_is_python(cell):
    lines = ("pass" if line.startswith(("!", "%")) else line for line in cell.splitlines())
    ast.parse("\n".join(lines))


def read(line):
    """A line's command, and its arguments as the command's own parser reads them."""
    words, overrides = config.split_overrides(shlex.split(line[len(PROGRAM) :]))
    parser = Parser()
    find_command(words[0])(parser)
    return words[0], parser.parse(words[1:], overrides)


def test_it_trains_and_samples():
    (first, train), (second, sample) = map(read, COMMANDS)
    assert (first, second) == ("train", "sample")
    assert sample.checkpoint == [train.workdir]
    assert sample.out == train.workdir / "samples"
    assert sample.prompts


@pytest.mark.parametrize("command", COMMANDS)
def test_its_files_and_flags_are_there(command):
    name, arguments = read(command)
    if name == "train":
        config.experiment_from(config.load_config(arguments.config, arguments.overrides))


def test_it_shows_what_training_writes():
    whole = "\n".join(CELLS)
    assert 'Image.open("runs/quickstart/samples.png")' in whole
    assert 'Path("runs/quickstart/samples").glob' in whole
    extras = (ROOT / "setup.py").read_text()
    assert '".[tpu]"' in whole
    assert '"tpu": [' in extras
