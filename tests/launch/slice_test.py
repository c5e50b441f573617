"""`tpu_pod.sh keep` on a slice of four processes: taken away, killed, and trained to the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import xla_flags

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def checkout(tmp_path):
    """A repository that is installed on the hosts."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "launch", folder / "launch")
    shutil.copy(ROOT / "setup.py", folder)
    (folder / "configs").mkdir()
    shutil.copy(HERE / "simulated_config.py", folder / "configs" / "simulated.py")
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def cloud(tmp_path):
    """The folder that is the cloud, and the environment in which it is reached."""
    folder = tmp_path / "cloud"
    (folder / "bin").mkdir(parents=True)
    for name in ("gcloud", "uv"):
        shutil.copy(HERE / f"fake_{name}.sh", folder / "bin" / name)
        (folder / "bin" / name).chmod(0o755)
    shutil.copy(folder / "bin" / "uv", folder / "uv")
    (folder / "bin" / "python3").write_text("#!/bin/bash\n")  # pip install uv
    (folder / "bin" / "python3").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        (folder / "port").write_text(str(server.getsockname()[1]))
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "CLOUD": str(folder),
        "HOST_PYTHON": f"{sys.executable} {HERE / 'host_python.py'}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags.quick_cpu(1),
        "GLIDE_JAX_CACHE": str(folder / "cache"),
        "SECRET": "it's a secret",
    }
    yield folder, environment
    kill_all(folder)


def kill_all(cloud):
    for file in cloud.glob("hosts/*/glide_jax/glide_jax.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def steps(cloud):
    """The steps of which the run has written a line."""
    file = cloud / "runs" / "run" / "base" / "metrics.jsonl"
    return [row["step"] for row in tiny.metrics(file.parent)] if file.exists() else []


def wait_for(condition, keeper):
    deadline = time.monotonic() + 400
    while not condition():
        assert keeper.poll() is None, keeper.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_run_is_kept_until_it_is_done(checkout, cloud):
    folder, environment = cloud
    words = "--name=n --project=p --zone=z --accelerator=v5litepod-16 --spot --poll=1 --env=SECRET"
    words += " --config=configs/simulated.py --workdir=/mnt/runs/run"
    keeper = subprocess.Popen(
        [checkout / "launch/tpu_pod.sh", "keep", *words.split()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: len(steps(folder)) > 3, keeper)
        (folder / "state").write_text("SUSPENDED\n")  # the slice is taken away
        kill_all(folder)
        at = steps(folder)[-1]
        wait_for(lambda: steps(folder)[-1] > at + 3, keeper)
        kill_all(folder)  # and the run dies
        said = keeper.communicate(timeout=400)[0]
    finally:
        keeper.kill()
    assert keeper.returncode == 0, said
    assert "SUSPENDED; deleted, and requested again" in said
    assert "ended with status 137, and is started again" in said
    assert said.rstrip().endswith("n: the run is done")
    assert steps(folder) == list(range(1, 41))
    calls = (folder / "calls").read_text()
    assert calls.count("queued-resources create") == 2
    assert "secret" not in said + calls
    variables = folder / "hosts/3/glide_jax/environment.sh"
    assert variables.read_text() == "export SECRET=it\\'s\\ a\\ secret\n"
    assert variables.stat().st_mode & 0o077 == 0
    assert (folder / "hosts/3/glide_jax/requirements.lock").read_text() == "# extras: tpu\njax==1\n"
