"""A CPU's 3×3 convolutions beside XLA's, in turn: forwards, and with both gradients.

    python benchmarks/convolution.py
    python benchmarks/convolution.py 2x64x64x192x192 8x16x16x64x64

BxHxWxCxO: pictures, their height and width, and the channels in and out; without any, those of
GLIDE's base model for one guided picture, and of its upsampler.
"""

import argparse
import functools
import os
from collections.abc import Sequence

import jax
import numpy as np
from of_sampling.timing import in_turn, table

from glide_jax.models import cpu_conv

OF_GLIDE = (
    "2x64x64x192x192",
    "2x32x32x384x384",
    "2x16x16x576x576",
    "2x8x8x768x768",
    "1x256x256x192x192",
    "1x256x256x384x192",
    "1x64x64x384x384",
)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="BxHxWxCxO")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    asked = parser.parse_args()
    rows = []
    for name in asked.shapes or OF_GLIDE:
        *shape, width_out = map(int, name.split("x"))
        way = cpu_conv.way(shape, width_out).__name__
        rows.append((name, way, *measured(shape, width_out, asked.repeats)))
        print(*rows[-1], flush=True)
    print(f"{os.cpu_count()} cores, medians of {asked.repeats}, ms; both: with both gradients")
    head = ("shape", "way", "XLA's", "ours", "ratio", "both: XLA's", "both: ours", "both: ratio")
    print(table(head, rows))


def measured(shape: Sequence[int], width_out: int, repeats: int) -> list[float]:
    """Milliseconds of XLA's and of ours, and their ratio: forwards, then with the gradients."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], width_out)) / np.sqrt(9 * shape[-1])
    dy = jax.random.normal(keys[2], (*shape[:3], width_out))
    ways = {"XLA": cpu_conv.direct, "ours": cpu_conv.convolve_on_cpu}
    found = []
    for with_gradients in (False, True):
        jobs = {}
        for name, way in ways.items():
            run = jax.jit(functools.partial(_with_gradients, way) if with_gradients else way)
            given = (x, kernel, dy) if with_gradients else (x, kernel)
            jobs[name] = functools.partial(_run, run, given)
        took = in_turn(jobs, repeats)
        theirs, ours = (took[name].wall for name in ways)
        found += [1e3 * theirs, 1e3 * ours, theirs / ours]
    return found


def _with_gradients(way, x, kernel, dy):
    y, pull = jax.vjp(way, x, kernel)
    return y, *pull(dy)


def _run(function, given) -> None:
    jax.block_until_ready(function(*given))


if __name__ == "__main__":
    main()
