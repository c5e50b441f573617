"""The command `glide-jax`: what it does, and what it says when it can't."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden.load import HERE, load

from glide_jax import __version__, cli, entry
from glide_jax.commands import COMMANDS
from glide_jax.interop import download, files, released

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small_base(tmp_path, monkeypatch):
    """A small file in place of the released base model."""
    options = json.loads((HERE / "tiny_base.manifest.json").read_text())["options"]
    small = dataclasses.replace(released.FILES["base"], options=options)
    monkeypatch.setattr(released, "FILES", released.FILES | {"base": small})
    path = tmp_path / "base.safetensors"
    files.write(path, load("tiny_base")[1], "float32")
    return path


def run(*words):
    return cli.main([str(word) for word in words])


def said(capsys):
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND"),
        (["imprt"], "did you mean 'import'"),
        (["train"], "give --config=NAME"),
        (["train", "--config=nowhere.py"], "nowhere.py"),
        (["train", "--config=base", "--workdir="], "--workdir: the path is empty"),
        (["train", "--config=a", "--process_id=1"], "need --coordinator"),
        (["evaluate"], "give --checkpoint DIR"),
        (["evaluate", "--checkpoint=nowhere"], "no workdir nowhere"),
        (["plan", "--config=a", "--topology"], "--topology: expected one argument"),
        (["data", "chek", "folder"], "'chek'"),
        (["info", ".", "--config.seed=1"], "unrecognized arguments: --config.seed=1"),
        (["import", "w.pt"], "--out"),
        (["import", "--out=run"], "--as=base"),
        (["import", "w.pt", "--as=base", "--out=run"], "no file w.pt"),
        (["import", "w.pt", "--as=bse", "--out=run"], "did you mean 'base'"),
        (["import", "w.onnx", "--as=base", "--out=run"], ".bin or .safetensors"),
        (["import", "w.pt", "--as=base", "--out=."], ". is there already"),
        (["import", "--as=bse", "--out=run"], "did you mean 'base'"),
        (["export", "nowhere", "--out=w.pt"], "no checkpoint in nowhere"),
        (["export", "nowhere", "--out=w.ckpt"], ".pt or .safetensors"),
        (["export", "nowhere", "--out=w.pt", "--format=safetensors"], "disagree"),
        (["export", "nowhere", "--out=w.pt", "--format=onnx"], "onnx"),
        (["export", "nowhere", "--out=w.pt", "--dtype=int8"], "int8"),
        (["export", "nowhere"], "--out"),
        (["download"], "NAME"),
        (["download", "bse"], "did you mean 'base'"),
        (["download", "ftp://host/w.pt"], "https://"),
        (["info", "nowhere"], "there is no nowhere"),
        (["info", "."], "no checkpoint in ."),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == entry.BAD_INPUT
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("error: ")
    assert message in error[0]
    assert os.listdir(tmp_path) == []


def test_in_about_and_out_again(small_base, tmp_path, capsys):
    workdir, out = tmp_path / "run", tmp_path / "out.safetensors"
    assert run("import", small_base, "--as", "base", "--out", workdir) == 0
    assert str(workdir / "base") in said(capsys)
    assert run("info", workdir) == 0
    about = said(capsys)
    assert "2,483,942" in about
    assert "gpt2, 50,257 ids, 12 per caption" in about
    assert "text.tokenizer = 'gpt2'" in about
    assert run("export", workdir, "--ema", "--format", "safetensors", "--out", out) == 0
    assert "ema_params of step 0 in float32" in said(capsys)
    assert out.read_bytes() == small_base.read_bytes()
    assert run("info", out) == 0
    assert "by its keys" in said(capsys)


def test_an_import_without_a_file_fetches_it(small_base, tmp_path, monkeypatch, capsys):
    asked = []

    def fetched(name):
        asked.append(name)
        return small_base

    monkeypatch.setattr(download, "download", fetched)
    assert run("import", "--as=base", f"--out={tmp_path / 'run'}") == 0
    assert asked == ["base"]
    assert (tmp_path / "run" / "base" / "checkpoints" / "0").is_dir()


def test_download_takes_names_groups_and_addresses(monkeypatch, capsys):
    monkeypatch.setattr(download, "download", lambda name: f"/cache/{name}")
    assert run("download", "base", "clip", "https://host/w.pt") == 0
    names = ["base", "clip-image", "clip-text", "https://host/w.pt"]
    assert said(capsys).splitlines() == [f"/cache/{name}" for name in names]


def python(program):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


WRONG_KEY = [f"--config={ROOT / 'configs' / 'quickstart.py'}", "--config.seeed=1"]


@pytest.mark.parametrize(
    ("command_lines", "answer"),
    [
        ([["--help"], *([name, "--help"] for name in COMMANDS)], "usage: glide-jax report"),
        ([["--version"]], __version__),
        ([["imprt"]], "import"),
        ([["train", *WRONG_KEY]], "seeed"),
        ([["plan", "--topology=v5e-16", *WRONG_KEY]], "seeed"),
        ([["sample", "a", "--sed=1"]], "--sed"),
    ],
    ids=lambda value: " ".join(value[-1][:1]) if isinstance(value, list) else "",
)
def test_help_and_mistakes_are_answered_before_jax_is_loaded(command_lines, answer):
    done = python(f"""
import contextlib, sys
from glide_jax import cli
for words in {command_lines!r}:
    with contextlib.suppress(SystemExit):
        cli.main(words)
sys.exit("jax" in sys.modules)
""")
    assert answer in done.stdout + done.stderr


def test_the_overview_lists_every_command(capsys):
    assert run("--help") == 0
    listed = [line.split() for line in said(capsys).partition("commands:")[2].splitlines()[1:]]
    assert [name for name, *_ in listed] == list(COMMANDS)
    assert all(len(summary) > 3 for _, *summary in listed)


def test_flags_may_have_underscores(tmp_path, capsys):
    spellings = "--num-images=0 --preview-every=0", "--num_images=0 --preview_every=0"
    errors = []
    for spelling in spellings:
        assert run("sample", "a_b", "--checkpoint", tmp_path, *spelling.split()) == 2
        errors.append(capsys.readouterr().err)
    assert errors[0] == errors[1] == "error: --preview-every must be 1 or more, not 0\n"


def test_a_reader_that_stops_is_no_mistake():
    done = python("""
import os, sys
from glide_jax.entry import status_of
reader, writer = os.pipe()
os.dup2(writer, 1)
os.close(writer)
os.close(reader)
sys.exit(status_of(lambda: print("x" * 100000, flush=True)))
""")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("streams", "status", "error"),
    [
        (">/dev/full", 2, "error: can't write the output: No space left on device; make room"),
        ("2>/dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_streams_that_take_nothing_are_no_traceback(streams, status, error):
    program = """
import sys
from glide_jax.entry import status_of
from glide_jax.progress import say
sys.exit(status_of(lambda: (say("so far", sys.stderr), print("☃" * 10000, flush=True))))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"}
    command = f"'{sys.executable}' -c '{program}' {streams}"
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert done.returncode == status
    assert done.stderr.replace("so far", "").strip() == error


def test_a_device_that_is_not_here_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")

    def fail():
        raise RuntimeError("Unable to initialize backend 'tpu':\nno libtpu.so")

    assert entry.status_of(fail) == entry.BAD_INPUT
    line = "error: JAX can't start with JAX_PLATFORMS=tpu: Unable to initialize backend 'tpu': no"
    assert capsys.readouterr().err == f"{line} libtpu.so\n"


def test_too_little_memory_is_one_line(capsys):
    assert entry.status_of(lambda: print(np.empty(2**60, np.uint8).sum())) == entry.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is too little memory: Unable to allocate 1.00 EiB")
    assert line.endswith("; end other programs, or ask for less at once")
