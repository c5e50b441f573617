"""Two processes of four devices are one process of one: the same losses, one workdir."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import xla_flags
from PIL import Image

from glide_jax.checkpoints import open_checkpoint

SIX = (
    "stages.base.training.log_every_steps=1",
    "stages.base.training.lr_decay=constant",
    "stages.base.training.num_steps=6",
    # An upsampler samples no prompts, which would take longer than all the rest.
    "stages.base.model.low_res_size=4",
)
PROGRAM = Path(__file__).with_name("one_of_several.py")


def free_address():
    """Where no process of this machine listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def start(workdir, count, devices, *overrides, **environment):
    """The processes of a run, each with so many devices."""
    coordinator = free_address()
    tests = PROGRAM.parents[1]
    environment |= os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags.quick_cpu(devices),
        "PYTHONPATH": f"{tests.parent}:{tests}",
    }
    command = [sys.executable, str(PROGRAM), coordinator, str(count)]
    return [
        subprocess.Popen(
            [*command, str(i), str(workdir), *SIX, *overrides],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(count)
    ]


def finish(processes, status=0):
    """What each process printed."""
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), outputs
    return outputs


def losses(workdir):
    return {row["step"]: row["loss"] for row in tiny.metrics(workdir / "base")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The losses of one process with one device."""
    workdir = tmp_path_factory.mktemp("alone")
    finish(start(workdir, 1, 1))
    return losses(workdir)


@pytest.mark.slow
def test_two_processes_lose_what_one_does(alone, tmp_path):
    """With batches and weights split; where one has no data, batches alone are."""
    first, second = finish(start(tmp_path, 2, 4, "stages.base.training.fsdp=4"))
    assert losses(tmp_path) == pytest.approx(alone, rel=1e-4)
    assert "base 6/6" in first
    assert "base" not in second, "only the first says how far it is"
    assert set(json.loads((tmp_path / "summary.json").read_text())) == {"seconds", "peak_rss_gib"}
    assert len(list((tmp_path / "base" / "tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_two_processes_sample_the_grids_that_one_does(tmp_path):
    """With weights that no process has all of."""
    overrides = (
        "stages.base.model.low_res_size=0",
        "stages.base.training.num_steps=2",
        "stages.base.training.sample_every_steps=1",
        "stages.base.sampling.guidance_scale=1",
    )
    finish(start(tmp_path / "one", 1, 1, *overrides))
    first, second = finish(start(tmp_path / "two", 2, 2, *overrides, "stages.base.training.fsdp=4"))
    assert "images: " in first
    assert "images: " not in second
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert Path("base/samples/00000001.png") in files
    assert Path("samples.png") in files
    for file in files:
        if file.name == "report.png":
            continue
        a, b = (np.asarray(Image.open(tmp_path / n / file), np.int16) for n in ("one", "two"))
        # The weights differ by the rounding of two steps.
        assert np.abs(a - b).max() <= 3, file


@pytest.mark.slow
def test_two_processes_evaluate_during_training_what_one_does(tmp_path):
    overrides = (
        "stages.base.model.low_res_size=0",
        "stages.base.training.num_steps=2",
        "stages.base.sampling.guidance_scale=1",
    )
    finish(start(tmp_path / "one", 1, 1, *overrides, EVALUATED="1"))
    more = (*overrides, "stages.base.training.fsdp=4")
    first, second = finish(start(tmp_path / "two", 2, 2, *more, EVALUATED="1"))
    assert "class score" in first
    assert "class score" not in second
    one, two = (
        json.loads((tmp_path / n / "base" / "evaluations.json").read_text()) for n in ("one", "two")
    )
    assert list(one) == list(two) == ["1", "2"]
    for step, values in one.items():
        assert two[step] == pytest.approx(values, rel=1e-2), step  # of images within a level
    best = tmp_path / "two" / "best" / "base" / "checkpoints"
    assert open_checkpoint(best).step in (1, 2)


@pytest.mark.slow
def test_a_run_goes_on_on_other_devices_in_other_processes(alone, tmp_path):
    finish(start(tmp_path, 1, 1, "stages.base.training.num_steps=2"))
    finish(start(tmp_path, 2, 4, "stages.base.training.num_steps=4", "stages.base.training.fsdp=8"))
    finish(start(tmp_path, 1, 2, "stages.base.training.num_steps=6"))
    assert losses(tmp_path) == pytest.approx(alone, rel=1e-4)


@pytest.mark.slow
def test_one_is_asked_to_stop_and_all_stop_after_the_same_step_and_go_on(tmp_path):
    processes = start(tmp_path, 2, 1, "stages.base.training.num_steps=100000")
    lines, deadline = tmp_path / "base" / "metrics.jsonl", time.monotonic() + 300
    while not (lines.exists() and lines.read_text().count("\n") > 2):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGTERM)
    first, second = finish(processes, status=130)
    step = open_checkpoint(tmp_path / "base" / "checkpoints").step
    assert f"stopped after step {step} of 100000" in first
    assert f"stopped after step {step} of 100000" in second
    assert list(losses(tmp_path)) == list(range(1, step + 1))
    until = f"stages.base.training.num_steps={step + 2}"
    finish(start(tmp_path, 2, 1, until))
    finish(start(tmp_path / "never stopped", 2, 1, until))
    assert losses(tmp_path) == losses(tmp_path / "never stopped")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_one_has_no_data_and_all_save_the_last_step_that_all_had(alone, asked, tmp_path):
    processes = start(tmp_path, 2, 1, WITHOUT_DATA="3")
    lines, deadline = tmp_path / "base" / "metrics.jsonl", time.monotonic() + 300
    # The line of a step is written once the next one was dispatched, and there is no third.
    while not (lines.exists() and lines.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    processes[asked].send_signal(signal.SIGTERM)
    for output in finish(processes, status=130):
        assert "stopped after step 2 of 6" in output
    found = open_checkpoint(tmp_path / "base" / "checkpoints")
    assert (found.step, found.data_state) == (2, {"next_index": 2})
    finish(start(tmp_path, 2, 1))
    assert losses(tmp_path) == pytest.approx(alone, rel=1e-4)


def test_wrong_arguments_are_one_line(tmp_path, capfd):
    from glide_jax import main

    config = f"--config={tiny.CONFIGS / 'quickstart.py'}"
    port, two, which = "--coordinator=127.0.0.1:1", "--num-processes=2", "--process-id=2"
    wrong = {
        "must be HOST:PORT, or auto": ["--coordinator=here", two, which],
        "needs --num-processes=N and --process-id=I": [port, two],
        "must be from 0 to 1": [port, two, which],
        "leave them out": ["--coordinator=auto", two],
        "need --coordinator": [two, which],
    }
    for message, words in wrong.items():
        assert main.main([config, *words]) == 2
        error = capfd.readouterr().err.strip().splitlines()
        assert len(error) == 1
        assert message in error[0]
