"""`glide-jax judge`: its mistakes, and a life of it from start to Ctrl-C and again."""

import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from evaluation.judging.judging_toys import PROMPTS, sample, save_plain

from glide_jax import cli, entry
from glide_jax.commands.judge import CheckingLine
from glide_jax.evaluation.judging.comparison import Assignment, Trial
from glide_jax.evaluation.judging.reading import read_models
from glide_jax.evaluation.judging.results import results_of
from glide_jax.evaluation.judging.votes import Votes
from glide_jax.progress import Line

ROOT = Path(__file__).parents[3]


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample(tmp_path / "a")
    sample(tmp_path / "b", PROMPTS[:2], colour=9)
    save_plain(tmp_path / "plain", ["x.png"])
    sample(tmp_path / "cut")
    (tmp_path / "cut" / "a-red-circle-7-0.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    sample(tmp_path / "other" / "a", colour=3)
    (tmp_path / "text.sqlite").write_text("no votes" * 99)
    (tmp_path / "prompts.txt").write_text("one\ntwo\n")
    with Votes(tmp_path / "mine.sqlite") as votes:
        votes.add_images(read_models(["a"], None, lambda *_: None))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a folder of images for each model"),
        (["a", "none"], "there is no folder none"),
        (["a", "b"], "1 images lack a partner, as there is none by b of 'a green star'"),
        (["a"], "only 'a'"),
        (["a", "x=a", "--questions=alignmnt"], "did you mean 'alignment'"),
        (["a", "a"], "two models are called 'a'"),
        (["a", "plain"], "x.png does not hold its prompt"),
        (["plain", "--prompts-file=prompts.txt"], "1 images and the prompts file 2 lines"),
        (["a", "cut"], "cannot read the image cut/a-red-circle-7-0.png"),
        (["a", "x=a", "--votes=text.sqlite"], "no file of votes"),
        (["x=a", "y=a", "--votes=mine.sqlite"], "another comparison: a's image of"),
        (["a=other/a", "x=a", "--votes=mine.sqlite"], "is another one now"),
        (["a", "x=a", "--votes=no/where"], "no folder no"),
        (["a", "x=a", "--port=70000"], "a port is from 0 to 65535"),
        (["a", "x=a", "--network=203.0.113.9"], "can't listen on 203.0.113.9"),
        (["a", "x=a", "--port=many"], "invalid int"),
        (["--results"], "there are no votes in votes.sqlite"),
        (["--results", "--votes=text.sqlite"], "no file of votes"),
        (["a", "--json=r.json"], "give --results too"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_status_2(words, message, here, capsys):
    before = sorted(os.listdir(here))
    assert run("judge", *words) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert [f for f in sorted(os.listdir(here)) if f != "votes.sqlite"] == before


def test_without_the_extra_it_says_how_to_install_it(here, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("judge", "a", "x=a") == entry.BAD_INPUT
    assert "pip install 'glide_jax[web]'" in capsys.readouterr().err


def test_checking_says_how_far_it_is_and_the_time_left(capsys):
    clock = iter([0.0, 0.5, 2.0, 2.5, 4.0, 6.0]).__next__
    show = CheckingLine(Line(sys.stdout), clock)
    for model, done in (("a", 1), ("a", 100), ("a", 101), ("a", 200), ("b", 100)):
        show(model, done, 400)
    show.end()
    assert capsys.readouterr().out.splitlines() == [
        "checking a: 100/400, 0:06 left",
        "checking a: 200/400, 0:04 left",
        "checking b: 100/400, 0:06 left",
    ]


class Command:
    """`glide-jax judge` in a process of its own."""

    def __init__(self, folder, *words):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "glide_jax.cli", "judge", *words, "--port=0"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = self.process.stdout.readline() + self.process.stdout.readline()
        self.address = re.search(r"http://\S+", self.said)[0]

    def request(self, path, fields=None, token=None):
        data = None if fields is None else json.dumps(fields).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        port = re.search(r":(\d+)/", self.address)[1]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        _, error = self.process.communicate(timeout=60)
        return self.process.returncode, error


@pytest.mark.slow
def test_it_serves_stops_and_goes_on(here, capsys):
    words = ["first=a", "second=b", "--skip-unpaired", "--questions=photorealism"]
    with Command(here, *words) as command:
        assert "2 models, 4 images, 2 trials for each judge; votes in votes.sqlite" in command.said
        assert command.address.startswith("http://127.0.0.1:")
        trial = command.request("api/next?judge=Ada")["trial"]
        fields = {"judge": "Ada", "trial": trial["id"], "answer": "neither"}
        reply = command.request("api/votes", fields)
        assert (reply["stored"], reply["answered"]) == (True, 1)
        status, error = command.stop()
        assert status == entry.STOPPED
        assert error.strip().splitlines() == ["stopped; what was saved before is complete"]
    with Votes(here / "votes.sqlite") as votes:
        token = votes.secret("token", "")  # the address that judges have stays good
    with Command(here, *words, "--network=0.0.0.0") as command:
        assert command.address.endswith(f"/?token={token}")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            command.request("api/next?judge=Ada")
        again = command.request("api/next?judge=Ada", token=token)
        assert (again["trial"], again["answered"]) == (reply["trial"], 1)
        assert command.stop()[0] == entry.STOPPED
    assert run("judge", "--results") == 0
    assert "photorealism: 1 vote, 1 judge, 1 prompt" in capsys.readouterr().out


def test_the_command_prints_and_writes_them(tmp_path, capsys):
    file, out = tmp_path / "votes.sqlite", tmp_path / "out" / "results.json"
    with Votes(file) as votes:
        for i, answer in enumerate(["left", "right", "neither"]):
            trial = Trial("photorealism", f"p{i}", 0, ("a", "b"))
            votes.cast("ada", Assignment.of(trial, "ada", votes.key), answer)
        expected = results_of(votes.all())
    assert run("judge", "--results", "--votes", file, "--json", out) == 0
    assert capsys.readouterr().out.startswith("photorealism: 3 votes, 1 judge, 3 prompts")
    written = json.loads(out.read_text("utf-8"))
    assert written == json.loads(json.dumps(expected))
    assert math.isfinite(written["photorealism"]["win_rates"][0]["rate"]["low"])
