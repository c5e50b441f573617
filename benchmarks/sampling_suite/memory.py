"""The memory that sampling takes, at batches of 1, 2, 4 and 8, and for twice the steps."""

import argparse

from sampling_suite import released_size
from sampling_suite.processes import answer
from sampling_suite.timing import table

# The peak is reset after loading, which takes more memory than the weights do.
SAMPLE = """
import json, sys
from pathlib import Path
from glide_jax import runtime
from glide_jax.sampling.pipeline import Pipeline
workdir, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
runtime.enable_compilation_cache()
pipe = Pipeline.load(workdir)
pipe = Pipeline(pipe.stages[:1])
def gib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 2**20
before = gib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
pipe("", num_images=batch, batch_size=batch, steps=steps, sampler="ddpm", guidance_scale=3)
print(json.dumps({"before": before, "peak": gib("VmHWM")}))
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--steps", type=int, default=2, metavar="N")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    workdir, steps = released_size.workdir(arguments.workdir), arguments.steps
    runs = [(batch, steps) for batch in arguments.batches]
    runs.append((arguments.batches[0], 2 * steps))
    rows = []
    for batch, taken in runs:
        found = answer(SAMPLE, workdir, batch, taken)
        above = found["peak"] - found["before"]
        rows.append((batch, taken, found["before"], found["peak"], above / batch))
    head = ("batch", "steps", "GiB with the weights", "GiB at most", "GiB more per image")
    print("the base model with guidance; resident memory")
    print(table(head, rows))
