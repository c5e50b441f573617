"""Two processes of two devices encode what one device does, and each has all of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xla_flags
from encoder_toys import write_t5
from one_of_several_encoders import CAPTIONS

from glide_jax.encoders import load_encoder

PROGRAM = Path(__file__).with_name("one_of_several_encoders.py")


@pytest.mark.slow
def test_two_processes_encode_what_one_does(tmp_path):
    folder = write_t5(tmp_path / "t5")
    expected = load_encoder("t5", folder, dtype="float32").encode(CAPTIONS, 8).embedding
    with socket.create_server(("127.0.0.1", 0)) as server:
        coordinator = f"127.0.0.1:{server.getsockname()[1]}"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": xla_flags.quick_cpu(2),
        "PYTHONPATH": str(PROGRAM.parents[2]),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, PROGRAM, coordinator, "2", str(i), folder, tmp_path / f"{i}.npy"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert "reading t5" in errors[0]
    assert "reading t5" not in errors[1], "only the first says how far it is"
    for i in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{i}.npy"), expected, atol=1e-5)
