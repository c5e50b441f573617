"""Where a call's time goes: its operations by kind, shape and speed, from XLA's profile."""

import argparse
import collections
import math
import re
import tempfile
from pathlib import Path

import jax

from sampling_suite import released_size
from sampling_suite.calls import Call
from sampling_suite.timing import table

ROWS = 25

_SHAPE = r"\w+\[([\d,]*)\]"
_FUSION = re.compile(rf"%([\w.\-]+) = {_SHAPE}\S* fusion\(.*?calls=%([\w.\-]+).*?op_name=\"(.*?)\"")
_COMPUTATION = re.compile(r"^%([\w.\-]+) \(.*?\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_CONVOLUTION = re.compile(rf"= {_SHAPE}\S* convolution\(%[\w.\-]+, %([\w.\-]+)\)")
_PRODUCT = re.compile(
    rf"= {_SHAPE}\S* dot\(%([\w.\-]+), %([\w.\-]+)\).*?lhs_contracting_dims=\{{([\d,]+)\}}"
)
_NAMED = re.compile(rf"%([\w.\-]+) = {_SHAPE}")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--model", choices=released_size.NAMES, default="base")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    stage = released_size.stages(arguments.workdir)[arguments.model]
    program, job = Call(arguments.model, stage).ours()
    job()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            job()
        (file,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(file))
        seconds: collections.Counter[str] = collections.Counter()
        for line in (line for plane in profile.planes for line in plane.lines):
            for event in line.events:
                seconds[event.name] += event.duration_ns / 1e9
    kinds = by_kind(program.as_text() or "", seconds)
    total = sum(spent for _, spent, _ in kinds.values())
    rows = [
        (f"{spent / total:.1%}", 1e3 * spent, times, flop / spent / 1e9, kind)
        for kind, (times, spent, flop) in kinds.items()
    ]
    rows.sort(key=lambda row: -row[1])
    print(table(("share", "ms", "times", "GFLOP/s", "operation"), rows[:ROWS]))


def by_kind(program: str, seconds: dict[str, float]) -> dict[str, tuple[int, float, float]]:
    """Kind of the program's fusions → (their number, seconds, FLOP).

    Args:
        program: compiled, as text.
        seconds: of each operation, by its name.
    """
    bodies = dict(_COMPUTATION.findall(program))
    found: dict[str, tuple[int, float, float]] = {}
    for name, shape, called, op in _FUSION.findall(program):
        kind, flop = _work(bodies.get(called, ""))
        kind = kind or f"{op.rpartition('/')[2]} [{shape}]"
        times, spent, before = found.get(kind, (0, 0.0, 0.0))
        if seconds.get(name):
            found[kind] = times + 1, spent + seconds[name], before + flop
    return found


def _work(body: str) -> tuple[str, float]:
    """A fusion's convolution or matrix product in words and its FLOP; ("", 0) for any other."""
    shapes = {name: _numbers(shape) for name, shape in _NAMED.findall(body)}
    if found := _CONVOLUTION.search(body):
        out, kernel = _numbers(found[1]), shapes[found[2]]
        return f"convolution {kernel} → {out}", 2 * math.prod(out) * math.prod(kernel[:-1])
    if found := _PRODUCT.search(body):
        out, left, right = _numbers(found[1]), shapes[found[2]], shapes[found[3]]
        contracted = math.prod(left[axis] for axis in _numbers(found[4]))
        return f"product {left} · {right}", 2 * math.prod(out) * contracted
    return "", 0


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
