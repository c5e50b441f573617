"""One run after another, each in a process of its own that lives until it ends or is killed.

    python lives.py WORKDIR [KEY=VALUE …]      for each line on stdin: a run; its process on stdout

What takes long, the imports, is done once; a run is forked off before JAX has started.
"""

import os
import sys

import numpy as np
import tiny
from stress import kills

from glide_jax.checkpoints import quiet_background_errors
from glide_jax.entry import status_of
from glide_jax.runtime import enable_compilation_cache
from glide_jax.sampling.grid import save_image
from glide_jax.storage import storage_path
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt


def run(workdir, *overrides):
    """A tiny model's training, with a grid now and then."""
    enable_compilation_cache()
    quiet_background_errors()

    def sampled(params, step):
        images = np.full((1, 8, 8, 3), step % 256, np.uint8)
        save_image(images[0], storage_path(workdir) / "samples" / f"{step:08d}.png")
        return images

    with Interrupt() as interrupt:
        job = tiny.job(storage_path(workdir), tiny.experiment(*overrides), tiny.linear)
        loop.train(job, interrupt, loop.SampleGrids(kills.GRIDS_EVERY, sampled))


def main(workdir, *overrides):
    """A life a line, until there are no more."""
    for _ in sys.stdin:
        process = os.fork()
        if not process:
            sys.stdout = sys.stderr
            os._exit(status_of(lambda: run(workdir, *overrides)))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
