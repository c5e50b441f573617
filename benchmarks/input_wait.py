"""The share of a step's time in which training waits for its input, from far shards and near ones.

    python benchmarks/input_wait.py [--latency-ms=10] [--batch=128] [--step-s=1.2] [--steps=30] \
        [--workers=0] [--size=64]

Makes tar shards of captioned 256×256 JPEGs, as img2dataset's --image_size=256 does, and trains on
them: from a web server on this machine that waits --latency-ms before it answers a request, then
from the disk. It is the train loop itself, and the figure is its own, `input_wait` of
metrics.jsonl, without the first ten steps, in which it compiles and fills its queues. Nothing is
cached: every image is read, decoded and cropped again.

The model is one weight, and its step waits --step-s, as a host's processor does while a device
computes: the default is what `glide-jax plan` says of `configs/base.py` on v5e-16, 128 images a
chip in 1.2 s.
"""

import argparse
import contextlib
import dataclasses
import http.server
import io
import json
import multiprocessing
import re
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from glide_jax import config, data
from glide_jax.data import pipeline
from glide_jax.models.model import Model
from glide_jax.planning.jobs import planned_jobs
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job
from glide_jax.training.objectives.loss import LossAux

SHARDS, IMAGES_A_SHARD = 4, 200
FIRST_STEPS = 10


def main(argv: Sequence[str]) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--step-s", type=float, default=1.2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    arguments = parser.parse_args(argv)
    pipeline.CACHE_BYTES = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shards(folder / "shards")
        names = f"{{00000..{SHARDS - 1:05d}}}.tar"
        with serving(folder / "shards", arguments.latency_ms / 1000) as url:
            places = {
                f"a server, {arguments.latency_ms:g} ms a request": f"{url}/{names}",
                "the disk": f"{folder / 'shards'}/{names}",
            }
            for number, (shown, path) in enumerate(places.items()):
                wait, speed = measure(path, folder / f"run{number}", arguments)
                print(
                    f"shards on {shown}: waited {wait:.2%} of the time, {speed:.0f} images/s",
                    flush=True,
                )


def measure(path: str, workdir: Path, arguments: argparse.Namespace) -> tuple[float, float]:
    """Train on shards: the mean `input_wait`, and the median of images/s."""
    training = "stages.base.training"
    overrides = [
        "data.source=webdataset",
        f"data.path={path}",
        f"data.workers={arguments.workers}",
        f"stages.base.model.image_size={arguments.size}",
        f"{training}.batch_size={arguments.batch}",
        f"{training}.num_steps={arguments.steps + FIRST_STEPS}",
        f"{training}.microbatch_size=0",
        f"{training}.checkpoint_every_steps=1000000",
        f"{training}.log_every_steps=1",
        "monitoring.sinks=('jsonl',)",
    ]
    experiment = config.experiment_from(config.load_config("configs/base.py", overrides))
    (planned,) = planned_jobs(experiment).stages
    source = data.open_source("webdataset", path, "train")
    job = waiting_job(dataclasses.replace(planned, source=source, directory=workdir), arguments)
    with Interrupt() as interrupt, contextlib.redirect_stdout(io.StringIO()):
        loop.train(job, interrupt, None)
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in lines if row["step"] > FIRST_STEPS]
    wait = statistics.fmean(row["input_wait"] for row in rows)
    return wait, statistics.median(row["images_per_s"] for row in rows)


def waiting_job(job: Job, arguments: argparse.Namespace) -> Job:
    """The job, with a model of one weight and a step that waits."""
    shapes = {"scale.kernel": jax.ShapeDtypeStruct((1, 1), jnp.float32)}

    def wait(total: Any) -> Any:
        time.sleep(arguments.step_s)
        return np.float32(total)

    def loss(params: Any, batch: Any, key: Any) -> tuple[Any, LossAux]:
        images = batch["image"]
        waited = jax.pure_callback(
            wait, jax.ShapeDtypeStruct((), jnp.float32), jax.lax.stop_gradient(images.sum())
        )
        each = jnp.square(images * params["scale.kernel"][0, 0]).mean((1, 2, 3))
        return each.mean() + 0 * waited, LossAux({}, each)

    def init(key: Any) -> Any:
        return {"scale.kernel": jnp.ones((1, 1))}

    def unused(*_: Any) -> Any:
        return {}

    model = Model(job.model.config, shapes, init, unused, unused, unused)
    return dataclasses.replace(job, model=model, loss=loss)


def write_shards(folder: Path) -> None:
    """Shards as img2dataset writes them."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for i in range(IMAGES_A_SHARD):
                coarse = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
                encoded = io.BytesIO()
                coarse.resize((256, 256), Image.Resampling.BICUBIC).save(encoded, "JPEG")
                name = f"{shard:05d}{i:04d}"
                add(tar, f"{name}.jpg", encoded.getvalue())
                add(tar, f"{name}.txt", f"image {i} of a small boat on a wide sea".encode())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a shard."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@contextlib.contextmanager
def serving(folder: Path, latency_s: float) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(folder, latency_s, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def serve(folder: Path, latency_s: float, port: Any) -> None:
    """Answer ranges of the files in a folder, each request after the latency."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self.answer(b"", (folder / self.path.strip("/")).stat().st_size)

        def do_GET(self) -> None:
            content = (folder / self.path.strip("/")).read_bytes()
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if asked:
                content = content[int(asked[1]) : int(asked[2]) + 1]
            self.answer(content, len(content), 206 if asked else 200)

        def answer(self, content: bytes, size: int, status: int = 200) -> None:
            time.sleep(latency_s)
            self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *words: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
