"""Time a CPU's 3×3 convolutions against XLA's, in turn: forwards, and with both gradients.

    python benchmarks/convolution.py
    python benchmarks/convolution.py 2x64x64x192x192 8x16x16x64x64

BxHxWxCxO: images, their height and width, and the channels in and out. The default is the shapes
of GLIDE's base model for one guided image, and of its upsampler.
"""

import argparse
import functools
import os
from collections.abc import Sequence

import jax
import numpy as np
from sampling_suite.timing import in_turn, table

from glide_jax.models.cpu import convolution

GLIDE_SHAPES = (
    "2x64x64x192x192",
    "2x32x32x384x384",
    "2x16x16x576x576",
    "2x8x8x768x768",
    "1x256x256x192x192",
    "1x256x256x384x192",
    "1x64x64x384x384",
)


def main() -> None:
    """Print a line a shape, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="BxHxWxCxO")
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.shapes or GLIDE_SHAPES:
        *shape, width_out = map(int, name.split("x"))
        method = convolution.method(shape, width_out).__name__
        rows.append((name, method, *measure(shape, width_out, arguments.repeats)))
        print(*rows[-1], flush=True)
    print(f"{os.cpu_count()} cores, medians of {arguments.repeats}, ms; both: with both gradients")
    forwards, both = ("XLA", "ours", "ratio"), ("both: XLA", "both: ours", "both: ratio")
    print(table(("shape", "method", *forwards, *both), rows))


def measure(shape: Sequence[int], width_out: int, repeats: int) -> list[float]:
    """Milliseconds of XLA's and of ours, and their ratio: forwards, then with both gradients."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], width_out)) / np.sqrt(9 * shape[-1])
    dy = jax.random.normal(keys[2], (*shape[:3], width_out))
    convolutions = {"XLA": convolution.direct, "ours": convolution.convolve}
    times = []
    for with_gradients in (False, True):
        jobs = {}
        for name, convolve in convolutions.items():
            function = functools.partial(_with_gradients, convolve) if with_gradients else convolve
            arguments = (x, kernel, dy) if with_gradients else (x, kernel)
            jobs[name] = functools.partial(_run, jax.jit(function), arguments)
        took = in_turn(jobs, repeats)
        theirs, ours = (took[name].wall for name in convolutions)
        times += [1e3 * theirs, 1e3 * ours, theirs / ours]
    return times


def _with_gradients(convolve, x, kernel, dy):
    y, pull = jax.vjp(convolve, x, kernel)
    return y, *pull(dy)


def _run(function, arguments) -> None:
    jax.block_until_ready(function(*arguments))


if __name__ == "__main__":
    main()
