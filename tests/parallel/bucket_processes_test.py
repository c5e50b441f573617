"""Two processes write one checkpoint into a bucket, and go on from it alone and together."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import object_store
import pytest
import tiny
import xla_flags

from glide_jax.checkpoints import open_checkpoint
from glide_jax.checkpoints.markers import marker_name
from glide_jax.storage import storage_path

PROGRAM = Path(__file__).with_name("one_of_several.py")
ALWAYS = (
    "stages.base.training.log_every_steps=1",
    "stages.base.training.checkpoint_every_steps=2",
    "stages.base.training.keep_checkpoints=1",
    "stages.base.training.lr_decay=constant",
    "stages.base.training.fsdp=2",
    "stages.base.model.low_res_size=4",
)


def run(workdir, processes, devices, steps):
    with socket.create_server(("127.0.0.1", 0)) as server:
        coordinator = f"127.0.0.1:{server.getsockname()[1]}"
    tests = PROGRAM.parents[1]
    paths = [str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags.quick_cpu(devices),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    words = [*ALWAYS, f"stages.base.training.num_steps={steps}"]
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, coordinator, str(processes), str(i), str(workdir), *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(processes)
    ]
    outputs = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes, outputs


def weights(workdir):
    checkpoint = open_checkpoint(workdir / "base" / "checkpoints")
    return checkpoint.step, checkpoint.restore({"params": checkpoint.shapes("params")})["params"]


@pytest.mark.slow
def test_two_processes_and_one_continue_each_other(tmp_path, monkeypatch):
    run(tmp_path, 1, 2, 6)
    with object_store.STORES["gs"]() as store, object_store.used(store, monkeypatch):
        workdir = storage_path(store.url("runs/1"))
        run(workdir, 2, 1, 2)
        names = {path.name for path in (workdir / "base" / "checkpoints").iterdir()}
        assert names == {"2", marker_name(2, 0, 2), marker_name(2, 1, 2)}
        run(workdir, 1, 2, 4)
        run(workdir, 2, 1, 6)
        step, found = weights(workdir)
        losses = [row["loss"] for row in tiny.metrics(workdir / "base")]
        names = {path.name for path in (workdir / "base" / "checkpoints").iterdir()}
    assert names == {"6", marker_name(6, 0, 2), marker_name(6, 1, 2)}
    assert step == 6
    assert losses == pytest.approx([r["loss"] for r in tiny.metrics(tmp_path / "base")], rel=1e-4)
    for path, expected in weights(tmp_path)[1].items():
        np.testing.assert_allclose(found[path], expected, rtol=1e-3, atol=1e-4)
