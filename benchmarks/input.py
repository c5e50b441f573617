"""Images per second of each kind of data source, tokens included, and what a device needs.

    python benchmarks/input.py [--config=configs/base.py] [--workers=0,2] [--seconds=10] \
        [--tflops=990] [--mfu=0.55] [--config.KEY=VALUE …]

The sources: the config's own, a folder and tar shards, the latter two of 512×384 JPEGs made for the
benchmark. Every image is read, decoded and cropped and its caption tokenized each time, as in a
data set that is larger than memory. Without workers the images a second of a core's time are shown
too, which others who use the machine don't change. A device of --tflops at --mfu consumes a certain
number of images per second with the config's first stage; each device needs enough workers for
that.
"""

import argparse
import itertools
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from glide_jax import config, data
from glide_jax.data import pipeline
from glide_jax.planning import cost
from glide_jax.training.job import Job
from glide_jax.training.jobs import make_jobs

IMAGES = 400
BATCH = 16


def main(argv: Sequence[str]) -> None:
    """Measure, and print."""
    words, overrides = config.split_overrides(argv)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/base.py")
    parser.add_argument("--workers", default="0,2")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tflops", type=float, default=990, help="of the device")
    parser.add_argument("--mfu", type=float, default=0.55, help="share of it that a step reaches")
    arguments = parser.parse_args(words)
    experiment = config.experiment_from(config.load_config(arguments.config, overrides))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = make_jobs(experiment, folder / "run").stages[0]
        flops = cost.step_flops(job)
        need = arguments.tflops * 1e12 * arguments.mfu / flops
        print(
            f"{cost.quantity(flops)}FLOP an image: a device of {arguments.tflops:g} TFLOP/s "
            f"consumes {need:,.0f} images/s at {arguments.mfu:.0%}",
            flush=True,
        )
        own = experiment.data
        make_images(folder / "images", folder / "shards")
        sources = {
            own.source: data.open_source(own.source, own.path, own.split),
            "folder": data.open_source("folder", str(folder / "images"), "train"),
            "webdataset": data.open_source("webdataset", str(folder / "shards"), "train"),
        }
        pipeline.CACHE_BYTES = 0
        for name, workers in itertools.product(sources, map(int, arguments.workers.split(","))):
            speed, a_core = measure(job, sources[name], workers, arguments.seconds)
            a_worker = speed / max(workers, 1)
            cores = "" if workers else f", {a_core:,.0f} a second of a core's time"
            print(
                f"{name}, {workers or 'no'} workers: {speed:,.0f} images/s{cores}, {a_worker:,.0f} "
                f"a worker; {np.ceil(need / a_worker):.0f} workers feed the device",
                flush=True,
            )


def measure(job: Job, source: data.Source, workers: int, seconds: float) -> tuple[float, float]:
    """Images of batches from a source, a second, and a second of this process's CPU time.

    The latter says what a core does also on a machine that others use; workers are not in it.
    """
    batches = pipeline.batches(
        source,
        job.conditioning,
        image_size=job.model.config.image_size,
        crop_size=job.crop_size,
        batch_size=BATCH,
        seed=0,
        process_index=0,
        process_count=1,
        workers=workers,
        start_step=0,
    )
    with batches:
        # What the workers read ahead while they started does not count in their speed.
        for _ in range(4 * max(workers, 1)):
            next(batches)
        begun, cpu, count = time.perf_counter(), time.process_time(), 0
        while (took := time.perf_counter() - begun) < seconds:
            next(batches)
            count += BATCH
    return count / took, count / (time.process_time() - cpu)


def make_images(folder: Path, shards: Path) -> None:
    """Write the same captioned JPEGs as files, and into shards as img2dataset does."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    shards.mkdir()
    with tarfile.open(shards / "00000.tar", "w") as tar:
        for i in range(IMAGES):
            # Coarse noise enlarged: its JPEG is about as large as a photograph's.
            coarse = Image.fromarray(rng.integers(0, 256, (96, 128, 3), np.uint8))
            file = folder / f"{i:05d}.jpg"
            coarse.resize((512, 384), Image.Resampling.BICUBIC).save(file, quality=90)
            caption = file.with_suffix(".txt")
            caption.write_text(f"image {i} of a small boat on a wide blue sea at sunset")
            tar.add(file, file.name)
            tar.add(caption, caption.name)


if __name__ == "__main__":
    main(sys.argv[1:])
