"""No URL is taken for a local folder: not by a command, a config or a function."""

import importlib
from pathlib import Path

import pytest
import tiny
from refusals import refused

from glide_jax import cli, entry, main
from glide_jax.cache import cache_folder
from glide_jax.checkpoints import Checkpoints, find_checkpoint, open_checkpoint, read_experiment
from glide_jax.commands import COMMANDS
from glide_jax.local_path import local_path
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.storage import storage_path
from glide_jax.writing import atomic_path

RUN = "gs://bucket/runs/1"
ELSEWHERE = "az://bucket/runs/1"
"""Of a kind that nothing is written to."""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (RUN, (RUN, "gcloud storage cp")),
        (Path(RUN), (RUN, "gcloud storage cp")),
        ("s3://bucket", ("s3://bucket", "aws s3 cp")),
        ("GS://bucket/a", ("gs://bucket/a", "gcloud storage cp")),
        ("https://host/image.png", ("https://host/image.png", "copy it here")),
        ("file:///a/b", ("give it as a path, /a/b",)),
    ],
    ids=str,
)
def test_a_url_is_refused_with_what_to_do(url, words):
    refused(lambda: local_path(url), *words)


@pytest.mark.parametrize(
    "path", ["", ".", "/a/b", "runs/1", "./gs:/1", "a b:c/d", "C:/runs", "a/gs://b", "~/x", "a:b"]
)
def test_a_path_stays_what_it_is(path):
    assert local_path(path) == Path(path)


@pytest.mark.parametrize(
    "words",
    [
        ["judge", "a=.", "b=.", "--votes", RUN],
        ["judge", "--results", "--votes", RUN],
        ["train", f"--config={RUN}/a.py"],
        ["plan", f"--config={RUN}/a.py", "--topology=v5e-8"],
        ["train", "--config=imagen_quickstart", f"--config.text.weights={RUN}"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_refuses_what_must_be_local_and_makes_nothing(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert RUN in error
    assert "gcloud storage cp" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--config=quickstart", f"--workdir={ELSEWHERE}"],
        ["sample", "a red circle", "--checkpoint", ELSEWHERE],
        ["sample", "a red circle", "--checkpoint=.", "--out", ELSEWHERE],
        ["export", ELSEWHERE, "--out=a.pt"],
        ["info", ELSEWHERE],
        ["report", ELSEWHERE],
        ["import", ELSEWHERE, "--as=base", "--out=a"],
        ["import", "a.pt", "--options", ELSEWHERE, "--out=a"],
        ["sample", "--like", ELSEWHERE],
        ["data", "check", "shapes/32", "--out", ELSEWHERE],
        ["upsample", ELSEWHERE, "--checkpoint=."],
        ["inpaint", "a.png", ELSEWHERE, "a hat", "--checkpoint=."],
        ["train", "--config=emoji", f"--config.stages.base.training.init_from={ELSEWHERE}"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_refuses_what_is_no_bucket_and_makes_nothing(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert f"{ELSEWHERE} is not a path on this machine" in error
    assert list(tmp_path.iterdir()) == []


def test_the_entry_of_runs_refuses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = f"--config={tiny.CONFIGS / 'quickstart.py'}"
    assert main.main([config, f"--workdir={ELSEWHERE}"]) == entry.BAD_INPUT
    assert f"{ELSEWHERE} is not a path on this machine" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_reads_a_path_that_may_be_a_url(name):
    parser = entry.Parser()
    importlib.import_module(f"glide_jax.commands.{COMMANDS[name]}").add(parser)
    assert [action.dest for action in parser._actions if action.type is Path] == []


def write(path):
    with atomic_path(path) as part:
        part.write_text("")


@pytest.mark.parametrize(
    "use",
    [
        find_checkpoint,
        open_checkpoint,
        lambda url: read_experiment(storage_path(url)),
        lambda url: Checkpoints(url, keep=1, experiment=tiny.experiment(), tokenizer={}),
        lambda url: write(Path(url)),
        Pipeline.load,
        lambda url: Pipeline.load(".", text_encoder=url),
    ],
)
def test_no_function_takes_it_for_a_folder(use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(lambda: use(ELSEWHERE), f"{ELSEWHERE} is not a path on this machine")
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_not_in_a_bucket(monkeypatch):
    monkeypatch.setenv("GLIDE_JAX_CACHE", "s3://bucket/cache")
    refused(cache_folder, "GLIDE_JAX_CACHE=s3://bucket/cache", "aws s3 cp")
