"""kill -9 at random moments, again and again: the run ends where an unbroken one does, bit for bit.

    python tests/stress/kills.py [--kills=100] [--seed=0]

A kill comes while the run starts, while it trains, or while it writes a checkpoint or a grid. At
the end weights, average, optimizer, position of the data, every line of metrics and every grid are
compared with those of a run that nothing broke.
"""

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import xla_flags

HERE = Path(__file__).resolve().parent
EVERY = 5
STEPS_A_KILL = 12
GRIDS_EVERY = 3 * EVERY
OVERRIDES = (
    "stages.base.training.log_every_steps=1",
    f"stages.base.training.checkpoint_every_steps={EVERY}",
    "stages.base.training.keep_checkpoints=2",
)
KINDS = {"starting": 0.1, "training": 0.4, "saving": 0.5}


class Lives:
    """The processes of a run, one after the other.

    Args:
        workdir: where it trains.
        folder: of what XLA compiles, shared by all lives.
        overrides: of the tiny experiment.
        log: the file for what they print; None: beside the workdir.
    """

    def __init__(self, workdir, folder, *overrides, log=None):
        self.workdir = workdir
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": xla_flags.quick_cpu(1),
            "JAX_COMPILATION_CACHE_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join(
                [str(HERE.parents[1]), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
            ),
        }
        self._log = (log or workdir.parent / f"{workdir.name}.log").open("w+")
        self._nursery = subprocess.Popen(
            [sys.executable, str(HERE / "lives.py"), str(workdir), *overrides],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def start(self) -> int:
        """Begin one; the result is its process."""
        self._nursery.stdin.write("\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def end(self) -> int:
        """Wait until it ends; the result is its exit status, below 0 if a signal ended it."""
        return int(self._nursery.stdout.readline())

    def printed(self) -> str:
        """What all of them printed."""
        return Path(self._log.name).read_text()

    def file(self) -> int:
        """Which file the metrics are written to; 0: none yet."""
        file = self.workdir / "metrics.jsonl"
        return file.stat().st_ino if file.exists() else 0

    def steps(self) -> int:
        """Steps that the run has written metrics of."""
        return (self.workdir / "metrics.jsonl").read_bytes().count(b"\n")

    def is_saving(self) -> bool:
        """Whether a half-written checkpoint or grid is there."""
        return any(
            next((self.workdir / folder).glob(pattern), None)
            for folder, pattern in (("checkpoints", "*-tmp*"), ("samples", "*.part"))
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._nursery.stdin.close()
        self._nursery.wait()
        self._log.close()


def kill_and_compare(folder: Path, kills: int, seed: int) -> collections.Counter:
    """Break a run so often, and compare it with one that was not.

    Returns:
        How many kills came while what was done; `found half-written` of them left something
        half-written behind.

    Raises:
        AssertionError: something differs.
    """
    rng = np.random.default_rng(seed)
    options = (*OVERRIDES, f"stages.base.training.num_steps={kills * STEPS_A_KILL}")
    hit = collections.Counter()
    with Lives(folder / "unbroken", folder / "cache", *options) as unbroken:
        unbroken.start()
        assert unbroken.end() == 0, unbroken.printed()
    with Lives(folder / "broken", folder / "cache", *options) as broken:
        for _ in range(kills):
            kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
            _kill(broken, kind, int(rng.integers(1, STEPS_A_KILL)), rng.random())
            hit[kind] += 1
            hit["found half-written"] += broken.is_saving()
        broken.start()
        assert broken.end() == 0, broken.printed()
    compare(folder / "unbroken", folder / "broken")
    return hit


def _kill(lives: Lives, kind: str, steps: int, moment: float) -> None:
    """Start a life and end it.

    Args:
        lives: of the run.
        kind: what it is to be at.
        steps: that it takes before, unless it is starting.
        moment: how far into that, in [0, 1).
    """
    before, process = lives.file(), lives.start()

    def until(holds):
        # One that has died would never get there; its status says so below.
        while not holds() and Path(f"/proc/{process}/status").exists():
            time.sleep(5e-4)

    if kind == "starting":
        # At its first step at the latest: a life of few steps is over soon after.
        deadline = time.monotonic() + 2 * moment
        until(lambda: time.monotonic() > deadline or lives.file() != before)
    else:
        # A life writes anew the lines of the steps that it will not take again, then adds to them.
        until(lambda: lives.file() != before)
        first = lives.steps()
        until(lambda: lives.steps() >= first + steps)
        if kind == "saving":
            until(lives.is_saving)
        time.sleep(0.02 * moment)
    os.kill(process, signal.SIGKILL)
    status = lives.end()
    assert status == -signal.SIGKILL, f"ended by itself with {status}: {lives.printed()}"


def compare(one: Path, other: Path) -> None:
    """Raises AssertionError unless two workdirs hold the same, bit for bit."""
    assert lines_of(one) == lines_of(other)
    a, b = arrays_of(one), arrays_of(other)
    assert a.keys() == b.keys()
    for path in a:
        assert a[path] == b[path], path
    grids = [{p.name: p.read_bytes() for p in d.glob("samples/*")} for d in (one, other)]
    assert grids[0] == grids[1]
    assert not list(other.rglob("*.part"))
    assert not list(other.rglob("*-tmp*"))


def lines_of(workdir: Path) -> list:
    """The metrics that chance alone decides, as they are written."""
    import tiny

    timed = ("images_per_s", "mfu", "input_wait")
    return [
        {name: value for name, value in line.items() if name not in timed}
        for line in tiny.metrics(workdir)
    ]


def arrays_of(workdir: Path) -> dict:
    """The bytes of all that the newest checkpoint holds, and where the data stood."""
    from glide_jax.checkpoints import CHECKPOINTS, open_checkpoint

    found = open_checkpoint(workdir / CHECKPOINTS)
    arrays = found.restore({p: found.shapes(p) for p in ("params", "ema_params", "opt_state")})
    there = {
        f"{part}/{path}": np.asarray(x).tobytes()
        for part, values in arrays.items()
        for path, x in values.items()
    }
    return there | {"step": found.step, "data": found.data_state}


def main() -> None:
    """Kill, compare, and print what was hit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        hit = kill_and_compare(Path(folder), arguments.kills, arguments.seed)
        shown = ", ".join(f"{count} {kind}" for kind, count in sorted(hit.items()))
        print(
            f"{arguments.kills} kills ({shown}), then as unbroken: {time.monotonic() - begun:.0f} s"
        )


if __name__ == "__main__":
    main()
