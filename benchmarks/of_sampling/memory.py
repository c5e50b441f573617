"""The memory that drawing takes, at batches of 1, 2, 4 and 8, and for twice the steps."""

import argparse

from of_sampling import released_size
from of_sampling.processes import answer
from of_sampling.timing import table

# The peak is set back once the weights are there, as reading them takes more than they do.
DRAW = """
import json, sys
from pathlib import Path
from glide_jax.pipelines.pipeline import Pipeline
workdir, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
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
    """Add its words."""
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--steps", type=int, default=2, metavar="N")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    workdir, steps = released_size.workdir(arguments.workdir), arguments.steps
    asked = [(batch, steps) for batch in arguments.batches]
    asked.append((arguments.batches[0], 2 * steps))
    rows = []
    for batch, taken in asked:
        found = answer(DRAW, workdir, batch, taken)
        above = found["peak"] - found["before"]
        rows.append((batch, taken, found["before"], found["peak"], above / batch))
    head = ("batch", "steps", "GiB with the weights", "GiB at most", "GiB more a picture")
    print("the base model, guided; of the resident memory")
    print(table(head, rows))
