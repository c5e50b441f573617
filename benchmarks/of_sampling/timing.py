"""Things timed in turn, so that what else the machine does falls on all of them alike; a table."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Took(NamedTuple):
    """Medians, in seconds: by the clock on the wall, and of all cores' work together."""

    wall: float
    cpu: float


def in_turn(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Took]:
    """Run each job once unseen, then all of them in turn, so many times.

    Args:
        jobs: by name; each returns when it is done.
        repeats: 1 or more.
    """
    for job in jobs.values():
        job()
    times: dict[str, list[Took]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            times[name].append(once(job))
    return {
        name: Took(*map(statistics.median, zip(*rows, strict=True))) for name, rows in times.items()
    }


def once(job: Callable[[], object]) -> Took:
    """What one run of a job took."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows of Markdown; numbers with three figures that count."""
    shown = [[f"{x:.3g}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    lines = [head, ["---"] * len(head), *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
