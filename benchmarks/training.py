"""What a train step costs here, and where the time goes; beside PyTorch where it is installed.

    python benchmarks/training.py --config=configs/base.py --config.training.batch_size=2 \
        --config.training.microbatch_size=0 [--steps=8] [--torch] [--largest] [--config.KEY=VALUE …]

Trains the base stage for three times --steps in a temporary folder, as a run does, and prints
pictures/s and MFU against the device's own measured matrix product, the peak of the memory, the
share of the time that was spent waiting for data, what a checkpoint adds, and the slowest
operations of a traced step. --torch times the same step of the public PyTorch code, which must be
importable as `glide_text2im`; --largest looks for the largest batch, each in a process of its own.
"""

import argparse
import collections
import dataclasses
import gzip
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glide_jax import config
from glide_jax.compile_cache import keep_compiled
from glide_jax.interop import openai
from glide_jax.parallel.mesh import divide_cpu
from glide_jax.training import cost, loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.jobs import make_jobs

SHOWN = 8


def main(argv: Sequence[str]) -> None:
    """Measure, and print."""
    words, overrides = config.split_overrides(argv)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/base.py")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--largest", action="store_true")
    asked = parser.parse_args(words)
    if asked.largest:
        largest(asked.config, overrides)
        return
    loaded = config.load_config(asked.config, overrides)
    loaded.text_pretraining = loaded.upsampler = None
    experiment = with_steps(config.experiment_from(loaded), asked.steps)
    divide_cpu(experiment.cpu_devices)
    keep_compiled()
    with tempfile.TemporaryDirectory() as folder:
        (job,) = make_jobs(experiment, Path(folder))
        told = cost.estimate(job)
        print(f"{jax.device_count()} × {jax.devices()[0].device_kind}; {told}")
        print(f"a matrix product: {told.peak_flops_per_s / 1e9:,.0f} GFLOP/s", flush=True)
        with Interrupt() as interrupt:
            loop.train(dataclasses.replace(job, mfu=told.mfu), interrupt, None)
        say_figures(read(job.directory / "metrics.jsonl"), job, asked.steps)
        say_slowest(job.directory)
        if asked.torch:
            say_torch(job, asked.steps)


def with_steps(experiment: config.Experiment, steps: int) -> config.Experiment:
    """Three times so many steps, each told, the first third saved, two steps traced."""
    training = dataclasses.replace(
        experiment.training,
        num_steps=3 * steps,
        log_every_steps=1,
        checkpoint_every_steps=steps,
        keep_checkpoints=1,
    )
    watching = config.WatchingConfig(("jsonl",), (3 * steps - 1, 3 * steps))
    return dataclasses.replace(experiment, training=training, watching=watching)


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in file.open()]


def say_figures(rows: list[dict[str, Any]], job: loop.Job, steps: int) -> None:
    """Print the speed, what waits, what a checkpoint adds, and the memory."""
    batch = job.stage.training.batch_size
    seconds = np.array([batch / row["pictures_per_s"] for row in rows[1:]])  # of step 2, 3, …
    quiet = seconds[: steps - 1]
    a_step = float(np.median(quiet))
    speed = next(row for row in rows[1:] if batch / row["pictures_per_s"] >= a_step)
    mfu = speed["mfu"] * speed["pictures_per_s"] ** -1 * batch / a_step
    print(f"{a_step:.4g} s a step of {batch}: {batch / a_step:.4g} pictures/s, MFU {mfu:.1%}")
    waits = np.mean([row["input_wait"] for row in rows[1:steps]])
    print(f"waiting for data: {waits:.2%} of the time")
    # The step at which a checkpoint is begun, and those beside which it is written.
    added = max(0.0, float(seconds[steps - 1 : 2 * steps - 1].sum() - steps * a_step))
    every = 1000
    print(
        f"a checkpoint adds {added:.3g} s to the {steps} steps from it on: "
        f"{added / (every * a_step):.3%} of a run that saves every {every} steps"
    )
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        print(f"at most {stats['peak_bytes_in_use'] / 2**30:.2f} GiB of a device's memory")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"at most {rss:.2f} GiB of memory, this process", flush=True)


def say_slowest(directory: Path) -> None:
    """Print the kinds of operations that took the most time of the traced steps."""
    (trace,) = directory.glob("profile/plugins/profile/*/perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    took: collections.Counter[str] = collections.Counter()
    for event in events:
        # Python's own events carry no operation of XLA's.
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
            took[re.sub(r"[.\d]+$", "", event["args"]["hlo_op"])] += event["dur"]
    total = sum(took.values())
    if not total:
        print("the trace names no operations")
        return
    print("the slowest kinds of operations, of the time in all of them:")
    for name, microseconds in took.most_common(SHOWN):
        print(f"  {microseconds / total:6.1%}  {name}")
    sys.stdout.flush()


def say_torch(job: loop.Job, steps: int) -> None:
    """Print the seconds of the same step in PyTorch, and its slowest operations."""
    import torch
    from glide_text2im import model_creation

    of_the_diffusion = ("diffusion_steps", "timestep_respacing", "noise_schedule")
    chosen = {k: v for k, v in openai.options(job.model).items() if k not in of_the_diffusion}
    model = model_creation.create_model(**chosen | {"cache_text_emb": False, "use_fp16": False})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).train()
    averages = [p.detach().clone() for p in model.parameters()]
    training = job.stage.training
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate)
    size, batch = job.model.config.image_size, training.batch_size
    length = job.experiment.text.length
    tokens = torch.randint(0, 100, (batch, length), device=device)
    mask = torch.ones(batch, length, dtype=torch.bool, device=device)
    dtype = {"bfloat16": torch.bfloat16}.get(job.model.config.dtype)

    def step() -> None:
        x_0 = torch.rand(batch, 3, size, size, device=device)
        t = torch.randint(0, 1000, (batch,), device=device)
        noise = torch.randn_like(x_0)
        with torch.autocast(device, dtype, enabled=dtype is not None):
            predicted = model(x_0 + noise, t, tokens=tokens, mask=mask)[:, :3]
        torch.nn.functional.mse_loss(predicted.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(averages, list(model.parameters()), 1 - training.ema_decay)
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    seconds = []
    for _ in range(steps):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    a_step = float(np.median(seconds))
    threads = torch.get_num_threads()
    print(f"PyTorch {torch.__version__}, {threads} threads: {a_step:.4g} s a step of {batch}")
    with torch.profiler.profile() as profile:
        step()
    rows = sorted(profile.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    for row in rows[:SHOWN]:
        print(f"  {row.self_cpu_time_total / total:6.1%}  {row.key}")


def largest(file: str, overrides: Sequence[str]) -> None:
    """Double the batch until a step of it fails, and print what each took."""
    batch = config.experiment_from(config.load_config(file, overrides)).training.batch_size
    while True:
        more = [f"--config.{override}" for override in overrides]
        more += [f"--config.training.batch_size={batch}", "--steps=2", f"--config={file}"]
        run = subprocess.run([sys.executable, __file__, *more], capture_output=True, text=True)
        if run.returncode:
            why = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1][:200]
            print(f"a batch of {batch} does not run: {why}")
            return
        (line,) = [line for line in run.stdout.splitlines() if " s a step of " in line]
        print(line, flush=True)
        batch *= 2


if __name__ == "__main__":
    main(sys.argv[1:])
