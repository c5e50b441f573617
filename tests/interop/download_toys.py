"""What the tests of downloads share."""

import io
import time
import zipfile

import numpy as np
from refusals import refused

HALF = 150_000
"""Of the bytes in `checkpoint`, roughly."""


def checkpoint(seed):
    """What torch.save writes, as far as anyone looks: a zip archive with a data.pkl."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("archive/data.pkl", b"pickled")
        archive.writestr("archive/data/0", np.random.default_rng(seed).bytes(2 * HALF))
    return memory.getvalue()


def fails(get, *parts, what=None):
    """Download must fail with one line that has all these parts."""
    return refused(lambda: get(what), *parts)


def ranges(server):
    return [asked.get("Range") for asked in server.asked]


def has_arrived(folder):
    return sum(part.stat().st_size for part in folder.glob("*.part"))


def wait_for(condition, timeout_s=10):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
