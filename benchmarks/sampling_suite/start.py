"""From the start of a process to its first step, with an empty and a full compilation cache."""

import argparse
import tempfile
import time

from sampling_suite import released_size
from sampling_suite.processes import answer
from sampling_suite.timing import table

FIRST_STEP = """
import json, os, sys, time
from glide_jax import runtime
from glide_jax.sampling.pipeline import Pipeline
def first_step(progress):
    at = {"at": time.time(), "loaded": loaded, "cpu": time.process_time()}
    print(json.dumps(at), flush=True)
    os._exit(0)
runtime.enable_compilation_cache()
pipe = Pipeline.load(sys.argv[1])
loaded = time.time()
pipe("an oil painting of a corgi", guidance_scale=3, on_progress=first_step)
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="the first compiles")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    workdir, rows = released_size.workdir(arguments.workdir), []
    with tempfile.TemporaryDirectory() as cache:
        for start in range(1, arguments.starts + 1):
            begun = time.time()
            found = answer(FIRST_STEP, workdir, JAX_COMPILATION_CACHE_DIR=cache)
            rows.append((start, found["loaded"] - begun, found["at"] - begun, found["cpu"]))
    print(f"{released_size.threads()} threads; seconds since the process was started")
    print(table(("start", "weights loaded", "first step taken", "of CPU"), rows))
