"""How many pictures a second each kind of source gives, tokens included, and what a device needs.

    python benchmarks/input.py [--config=configs/base.py] [--workers=0,2] [--seconds=10] \
        [--tflops=990] [--mfu=0.55] [--config.KEY=VALUE …]

The sources: the config's own; a folder and tar shards of 512×384 JPEGs with captions, made for it.
Every picture is read, decoded, cut and its caption tokenized anew, as in a data set that no memory
holds. A device of --tflops at --mfu takes so many pictures a second of the config's model; in front
of each device there must be workers enough for that.
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
from glide_jax.training import cost
from glide_jax.training.jobs import make_jobs
from glide_jax.training.loop import Job

PICTURES = 400
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
    asked = parser.parse_args(words)
    experiment = config.experiment_from(config.load_config(asked.config, overrides))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = next(j for j in make_jobs(experiment, folder / "run") if j.name == config.BASE)
        flops = cost.BACKWARD_FACTOR * cost.forward_flops(job)
        need = asked.tflops * 1e12 * asked.mfu / flops
        print(
            f"{cost.quantity(flops)}FLOP a picture: a device of {asked.tflops:g} TFLOP/s takes "
            f"{need:,.0f} pictures/s at {asked.mfu:.0%}",
            flush=True,
        )
        own = experiment.data
        make_pictures(folder / "pictures", folder / "shards")
        sources = {
            own.source: data.open_source(own.source, own.path, own.split),
            "folder": data.open_source("folder", str(folder / "pictures"), "train"),
            "webdataset": data.open_source("webdataset", str(folder / "shards"), "train"),
        }
        pipeline.CACHE_BYTES = 0
        for name, workers in itertools.product(sources, map(int, asked.workers.split(","))):
            speed = measure(job, sources[name], workers, asked.seconds)
            a_worker = speed / max(workers, 1)
            print(
                f"{name}, {workers or 'no'} workers: {speed:,.0f} pictures/s, {a_worker:,.0f} a "
                f"worker; {np.ceil(need / a_worker):.0f} workers feed the device",
                flush=True,
            )


def measure(job: Job, source: data.Source, workers: int, seconds: float) -> float:
    """Pictures a second of batches from a source."""
    batches = pipeline.batches(
        source,
        job.told,
        image_size=job.model.config.image_size,
        batch_size=BATCH,
        seed=0,
        process_index=0,
        process_count=1,
        workers=workers,
        start_step=0,
    )
    with batches:
        # What was read ahead while the workers started is no measure of their speed.
        for _ in range(4 * max(workers, 1)):
            next(batches)
        begun, count = time.perf_counter(), 0
        while (took := time.perf_counter() - begun) < seconds:
            next(batches)
            count += BATCH
    return count / took


def make_pictures(folder: Path, shards: Path) -> None:
    """The same captioned JPEGs as files, and in shards as img2dataset writes them."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    shards.mkdir()
    with tarfile.open(shards / "00000.tar", "w") as tar:
        for i in range(PICTURES):
            # Coarse noise enlarged: its JPEG is about as large as a photograph's.
            coarse = Image.fromarray(rng.integers(0, 256, (96, 128, 3), np.uint8))
            file = folder / f"{i:05d}.jpg"
            coarse.resize((512, 384), Image.Resampling.BICUBIC).save(file, quality=90)
            words = file.with_suffix(".txt")
            words.write_text(f"picture {i} of a small boat on a wide blue sea at sunset")
            tar.add(file, file.name)
            tar.add(words, words.name)


if __name__ == "__main__":
    main(sys.argv[1:])
