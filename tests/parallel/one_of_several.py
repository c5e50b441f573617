"""A process of a run on plain squares: COORDINATOR N I WORKDIR [KEY=VALUE …]; N of 1: alone.

WITHOUT_DATA=STEP of the environment: the second process has none from this step on.
EVALUATED of the environment: the weights are evaluated every step, by a toy feature net.

The model is `tiny.convolutional`: what several processes do with their part of a batch and of the
weights is the same for any, and each of them compiles it.
"""

import dataclasses
import os
import sys
import threading

import tiny
from evaluation import evaluation_toys

from glide_jax import data
from glide_jax.commands.train import train
from glide_jax.config.sections import PeriodicEvaluationConfig
from glide_jax.data.pipeline import Batches
from glide_jax.entry import status_of
from glide_jax.evaluation import features
from glide_jax.parallel import mesh
from glide_jax.parallel.processes import join
from glide_jax.storage import storage_path
from glide_jax.training import jobs

PERIODIC = PeriodicEvaluationConfig(
    every_steps=1,
    stages=("base",),
    split="test",
    num_captions=3,
    metrics=("inception_score",),
    reference="",
    net="toy",
    best_by="class score (toy)",
)


def main(coordinator, count, process, workdir, *overrides):
    if int(count) > 1:
        join(coordinator, int(count), int(process))
    data.prepare = lambda source, path: None
    data.open_source = lambda source, path, split: tiny.Swatches()
    mesh.SMALL = 500  # so that small weights are split as well
    experiment = tiny.experiment("data.source=swatches", *overrides)
    if os.environ.get("EVALUATED"):
        features.FEATURE_NETS["toy"] = lambda path, *, resize, mesh: evaluation_toys.net("toy")
        settings = dataclasses.replace(experiment.evaluation, periodic=PERIODIC)
        experiment = dataclasses.replace(experiment, evaluation=settings)
    if os.environ.get("WITHOUT_DATA") and process == "1":
        last, take = int(os.environ["WITHOUT_DATA"]) - 1, Batches.__next__

        def some(batches):
            if batches.state()["next_index"] == last:
                threading.Event().wait()
            return take(batches)

        Batches.__next__ = some
    jobs.model_of = lambda stage, **text: tiny.convolutional(experiment)
    train(experiment, storage_path(workdir))


if __name__ == "__main__":
    sys.exit(status_of(lambda: main(*sys.argv[1:])))
