"""From nothing to the first step, with nothing compiled before and with all of it."""

import argparse
import tempfile
import time

from of_sampling import released_size
from of_sampling.processes import answer
from of_sampling.timing import table

FIRST_STEP = """
import json, os, sys, time
from glide_jax.pipelines.pipeline import Pipeline
def told(step):
    at = {"at": time.time(), "loaded": loaded, "cpu": time.process_time()}
    print(json.dumps(at), flush=True)
    os._exit(0)
pipe = Pipeline.load(sys.argv[1])
loaded = time.time()
pipe("an oil painting of a corgi", guidance_scale=3, on_step=told)
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its words."""
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="the first compiles")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    workdir, rows = released_size.workdir(arguments.workdir), []
    with tempfile.TemporaryDirectory() as cache:
        for start in range(1, arguments.starts + 1):
            begun = time.time()
            found = answer(FIRST_STEP, workdir, JAX_COMPILATION_CACHE_DIR=cache)
            rows.append((start, found["loaded"] - begun, found["at"] - begun, found["cpu"]))
    print(f"{released_size.threads()} threads; seconds since the process was started")
    print(table(("start", "weights loaded", "first step taken", "of CPU"), rows))
