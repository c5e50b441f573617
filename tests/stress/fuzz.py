"""Fuzzed inputs of every kind: each must give a result or one clear line.

    python tests/stress/fuzz.py [--count=1000] [--seed=0] [--kinds=captions,masks] [--case=N]

No traceback, no hang, no silent loss: of the good images in a folder all are loaded, and the bad
ones are counted. Case N of a seed is always the same input; --case repeats one, with its traceback.
"""

import argparse
import contextlib
import dataclasses
import faulthandler
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # What is compiled runs for a moment only.
    os.environ["XLA_FLAGS"] = (
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    )
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from stress import fuzz_data, fuzz_evaluation, fuzz_files, fuzz_models

from glide_jax.checkpoints import quiet_background_errors
from glide_jax.errors import UserError

KINDS = fuzz_data.KINDS | fuzz_files.KINDS | fuzz_evaluation.KINDS | fuzz_models.KINDS
"""Kind → a function of (random generator, empty folder) that makes an input and uses it."""

TIMEOUT_S = 60
"""Of a case; on a busy machine, compiling the tiny model takes a third of it."""

MAX_LINE = 4000
"""A longer message is not one clear line."""


class Hang(BaseException):
    """A case took too long; no `except Exception` may hide it."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: its number.
        kind: of KINDS.
        result: "result", "one line" or, of a failure, what failed.
        detail: the message, or the traceback.
    """

    case: int
    kind: str
    result: str
    detail: str

    @property
    def failed(self) -> bool:
        """Whether the case found something to mend."""
        return self.result not in ("result", "one line")


def run(
    count: int, seed: int, kinds: Sequence[str] = tuple(KINDS), only: int | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each case.

    Args:
        count: how many cases.
        seed: of all of them.
        kinds: of KINDS, which take turns.
        only: run just this case.
    """
    with tempfile.TemporaryDirectory() as folder, _own_environment(Path(folder)):
        for case in range(count) if only is None else (only,):
            place = Path(folder) / f"case{case}"
            place.mkdir()
            yield _outcome(case, kinds[case % len(kinds)], seed, place)
            shutil.rmtree(place, ignore_errors=True)


def _outcome(case: int, kind: str, seed: int, folder: Path) -> Outcome:
    rng = np.random.default_rng([seed, case])
    output = io.StringIO()
    try:
        with _limited(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            KINDS[kind](rng, folder)
    except UserError as error:
        message = str(error)
        if not message or "\n" in message or len(message) > MAX_LINE:
            return Outcome(case, kind, "not one line", repr(message))
        return Outcome(case, kind, "one line", message)
    except Hang:
        return Outcome(case, kind, "hang", traceback.format_exc())
    except fuzz_data.Lost as error:
        return Outcome(case, kind, "lost", str(error))
    except BaseException:
        return Outcome(case, kind, "traceback", traceback.format_exc())
    return Outcome(case, kind, "result", "")


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(number: int, frame: types.FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
    # A call that never returns to Python can't be interrupted: then this ends the process.
    faulthandler.dump_traceback_later(10 * TIMEOUT_S, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _own_environment(folder: Path) -> Iterator[None]:
    """Caches of its own, a working folder of its own, and no network."""
    refusing = "http://127.0.0.1:9"
    proxies = {f"{name}_proxy": refusing for name in ("http", "https")}
    changes = proxies | {name.upper(): refusing for name in proxies}
    changes |= {"GLIDE_JAX_CACHE": str(folder / "cache"), "TFDS_DATA_DIR": str(folder / "tfds")}
    before, place = dict(os.environ), Path.cwd()
    os.environ.update(changes)
    (folder / "place").mkdir()
    os.chdir(folder / "place")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of damaged images
            yield
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)


def main() -> int:
    """Run all cases and print the counts; the result is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--case", type=int)
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    # What Orbax reads in the background prints tracebacks of its own, as in the commands.
    quiet_background_errors()
    for handler in logging.root.handlers:  # absl's; what is logged is no matter here
        handler.setLevel(logging.CRITICAL)
    start, counts, failures = time.perf_counter(), Counter(), []
    for outcome in run(arguments.count, arguments.seed, kinds, arguments.case):
        counts[outcome.kind, outcome.result] += 1
        if outcome.failed:
            failures.append(outcome)
            again = f"--seed={arguments.seed} --kinds={arguments.kinds} --case={outcome.case}"
            print(f"{outcome.kind} {again}: {outcome.result}\n{outcome.detail}", flush=True)
        elif arguments.case is not None:
            print(f"{outcome.kind}: {outcome.result} {outcome.detail}")
    seconds = time.perf_counter() - start
    for kind in kinds:
        found = ", ".join(f"{n} {result}" for (k, result), n in counts.items() if k == kind)
        print(f"{kind:10} {found}")
    total = sum(counts.values())
    print(f"seed {arguments.seed}: {total} inputs, {len(failures)} failures, {seconds:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
