"""kill -9 at random requests of a run in a bucket: it ends where an unbroken one does, bit for bit.

    python tests/stress/bucket_kills.py [--kills=50] [--seed=0] [--scheme=s3] [--slow-s=0]

As kills.py, but the workdir is in an object store on loopback, and the moment of a kill is a number
of requests: while the run starts, while it trains, or while it copies a checkpoint.
"""

import argparse
import collections
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import object_store
from stress import kills

KINDS = {"starting": 0.2, "training": 0.3, "saving": 0.5}
STEPS_A_KILL = 2 * kills.EVERY


def kill_and_compare(folder: Path, count: int, seed: int, scheme: str, slow_s: float = 0.0):
    """Break a run in a bucket so often, and compare it with one on a disk that was not.

    Returns:
        How many kills came while what was done; `found half-written` of them left a checkpoint
        without its marker.

    Raises:
        AssertionError: something differs.
    """
    from glide_jax.storage import storage_path

    rng = np.random.default_rng(seed)
    options = (*kills.OVERRIDES, f"stages.base.training.num_steps={count * STEPS_A_KILL}")
    hit = collections.Counter()
    with kills.Lives(folder / "unbroken", folder / "cache", *options) as unbroken:
        unbroken.start()
        assert unbroken.end() == 0, unbroken.printed()
    with object_store.STORES[scheme]() as store:
        os.environ |= store.environment
        store.faults.slow_s = slow_s
        workdir = storage_path(store.url("runs/broken"))
        log = folder / "broken.log"
        with kills.Lives(workdir, folder / "cache", *options, log=log) as broken:
            for _ in range(count):
                kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
                if _kill(broken, store, kind, int(rng.integers(1, 40))):
                    hit[kind] += 1
                else:
                    hit["ended first"] += 1
                hit["found half-written"] += _is_half_written(workdir / "checkpoints")
            broken.start()
            assert broken.end() == 0, broken.printed()
        kills.compare(folder / "unbroken", workdir)
        assert not _is_half_written(workdir / "checkpoints")
    return hit


def _kill(lives, store, kind: str, requests: int) -> bool:
    """Start a life and end it; whether it had not ended before.

    Args:
        lives: of the run.
        store: where it is.
        kind: what it is to be at.
        requests: how many more it makes then.
    """
    reached, seen = threading.Event(), collections.Counter()

    def count(method, path):
        if kind == "starting" or seen["begun"] or _begins(kind, method, path):
            seen["begun"] += 1
            if seen["begun"] > requests:
                reached.set()

    process = lives.start()
    store.faults.before = count
    while not reached.wait(0.01) and Path(f"/proc/{process}/status").exists():
        pass
    store.faults.before = None
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(process, signal.SIGKILL)
    status = lives.end()
    assert status in (-signal.SIGKILL, 0), f"ended by itself with {status}: {lives.printed()}"
    return status != 0


def _begins(kind: str, method: str, path: str) -> bool:
    """Whether with this request the run is at what it is to be killed at."""
    writes = method in ("PUT", "POST")
    # Google's names are in the body.
    return writes and (kind == "training" or "/checkpoints/" in path or "upload" in path)


def _is_half_written(checkpoints) -> bool:
    from glide_jax.checkpoints.layout import incomplete_checkpoints

    return bool(incomplete_checkpoints(checkpoints))


def main() -> None:
    """Kill, compare, and print what was hit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scheme", choices=object_store.STORES, default="s3")
    parser.add_argument("--slow-s", type=float, default=0.0)
    given = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        hit = kill_and_compare(Path(folder), given.kills, given.seed, given.scheme, given.slow_s)
        shown = ", ".join(f"{count} {kind}" for kind, count in sorted(hit.items()))
        print(f"{given.kills} kills ({shown}), then as unbroken: {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
