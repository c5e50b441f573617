"""A process of a run on plain squares: COORDINATOR N I WORKDIR [KEY=VALUE …]; N of 1: alone.

The model is `tiny.convolutional`: what several processes do with their part of a batch and of the
weights is the same for any, and each of them compiles it.
"""

import sys

import tiny

from glide_jax import data
from glide_jax.commands.train import train
from glide_jax.entry import status_of
from glide_jax.parallel import mesh
from glide_jax.parallel.processes import join
from glide_jax.storage import storage_path
from glide_jax.training import jobs


def main(coordinator, count, process, workdir, *overrides):
    if int(count) > 1:
        join(coordinator, int(count), int(process))
    data.prepare = lambda source, path: None
    data.open_source = lambda source, path, split: tiny.Swatches()
    mesh.SMALL = 500  # so that small weights are split as well
    experiment = tiny.experiment("data.source=swatches", *overrides)
    jobs.model_of = lambda stage, **text: tiny.convolutional(experiment)
    train(experiment, storage_path(workdir))


if __name__ == "__main__":
    sys.exit(status_of(lambda: main(*sys.argv[1:])))
