"""Jobs timed in turn, so that other load on the machine affects all of them alike; a table."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Took(NamedTuple):
    """Medians in seconds: of wall-clock time, and of CPU time on all cores together."""

    wall: float
    cpu: float


def in_turn(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Took]:
    """Run each job once untimed, then all of them in turn, `repeats` times.

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
    """The time that one run of a job takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows of Markdown; numbers with three significant figures."""
    shown = [[f"{x:.3g}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    lines = [head, ["---"] * len(head), *shown]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
