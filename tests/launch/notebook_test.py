"""The notebook is one that Colab opens, and its commands are ones that glide_jax reads."""

import ast
import json
import shlex
from pathlib import Path

import pytest

from glide_jax import config
from glide_jax.main import _parser as main_parser

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "launch" / "colab_tpu.ipynb").read_text("utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
MAIN = "!python -m glide_jax.main "
COMMANDS = [line for cell in CELLS for line in cell.splitlines() if line.startswith(MAIN)]


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


def test_it_trains_and_draws():
    read = [main_parser().parse_known_args(shlex.split(line[len(MAIN) :])) for line in COMMANDS]
    assert [arguments.mode for arguments, _ in read] == ["train", "sample"]
    assert read[0][0].workdir == read[1][0].workdir
    assert read[1][0].prompt


@pytest.mark.parametrize("command", COMMANDS)
def test_its_files_and_flags_are_there(command):
    words, overrides = config.split_overrides(shlex.split(command[len(MAIN) :]))
    arguments = main_parser().parse_args(words)
    if arguments.config:
        config.experiment_from(config.load_config(ROOT / arguments.config, overrides))


def test_it_shows_what_training_writes():
    whole = "\n".join(CELLS)
    assert 'Image.open("runs/quickstart/samples.png")' in whole
    assert 'Path("runs/quickstart/samples").glob' in whole
    extras = (ROOT / "setup.py").read_text()
    assert '".[tpu]"' in whole
    assert '"tpu": [' in extras
