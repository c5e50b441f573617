"""A process's memory at its peak, beside what it has when it begins its work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="Linux says what it uses"
)

PRELUDE = """
import json, sys
from pathlib import Path
import jax

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))

def begin():
    jax.numpy.zeros(3).block_until_ready()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    return status("VmRSS")

def peak(before):
    return status("VmHWM") - before

def left(before):
    return status("VmRSS") - before
"""
"""`begin` gives what `peak` and `left` subtract."""


def measured(program, *arguments):
    """What a program prints last, as JSON, in a process of its own.

    Args:
        program: Python; PRELUDE comes before it.
        arguments: its `sys.argv[1:]`.
    """
    words = [sys.executable, "-c", PRELUDE + program, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
