"""`glide-jax serve`: its mistakes, and a life of it from start to Ctrl-C."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from sampling import pipeline_toys

from glide_jax import cli, entry
from glide_jax.web.access import LOOPBACK

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return pipeline_toys.saved(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give --checkpoint DIR"),
        (["--checkpoint=nowhere"], "there is no workdir nowhere"),
        (["--checkpoint=."], "no checkpoint in"),
        (["--checkpoint=.", "--batch-size=0"], "--batch-size must be from 1 to 1024, not 0"),
        (["--checkpoint=.", "--port=70000"], "a port is from 0 to 65535"),
        (["--checkpoint=.", "--network=203.0.113.9"], "can't listen on 203.0.113.9"),
        (["--checkpoint=.", "--clip=nowhere"], "there is no workdir nowhere"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_status_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = words if any("--port" in word for word in words) else [*words, "--port=0"]
    assert cli.main(["serve", *words]) == entry.BAD_INPUT
    (error,) = capsys.readouterr().err.strip().splitlines()
    assert error.startswith("error: ")
    assert message in error


def test_a_port_in_use_is_said_before_anything_is_loaded(capsys):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--checkpoint=.", f"--port={port}"]) == entry.BAD_INPUT
    assert "give another --port" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["serve", "--checkpoint=."]) == entry.BAD_INPUT
    assert "pip install 'glide_jax[web]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("network", [False, True], ids=["loopback", "network"])
def test_it_serves_and_stops(workdir, tmp_path, network):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    words = ["--checkpoint", str(workdir), "--port=0", *["--network=0.0.0.0"] * network]
    process = subprocess.Popen(
        [sys.executable, "-m", "glide_jax.cli", "serve", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = next(line for line in process.stdout if line.startswith("open "))
        port = re.search(r":(\d+)/", said)[1]
        token = re.search(r"token=(\S+)", said)
        assert (token is not None) == network
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/info")
        if network:
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(request, timeout=60)
            request.add_header("Authorization", f"Bearer {token[1]}")
        with urllib.request.urlopen(request, timeout=60) as response:
            info = json.load(response)
        assert (info["name"], info["image_size"]) == (workdir.name, 16)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == entry.STOPPED
        assert error.strip().splitlines()[-1] == "stopped; what was saved before is complete"
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()
