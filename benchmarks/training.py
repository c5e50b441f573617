"""The time and memory of a train step here, and its slowest operations; beside PyTorch if wanted.

    python benchmarks/training.py --config=configs/base.py \
        --config.stages.base.training.batch_size=2 --config.stages.base.training.microbatch_size=0 \
        [--steps=8] [--torch] [--largest] [--config.KEY=VALUE …]

Trains the config's first stage for three times --steps in a temporary folder, as a run does, and
prints images/s and MFU against this device's own measured matrix product, the peak of the memory,
the share of the time spent waiting for data, what a checkpoint adds, and the slowest operations of
a traced step. --torch times the same step of the public PyTorch code, which must be importable as
`glide_text2im`; --largest finds the largest batch that runs, each in a process of its own.
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
from glide_jax.interop import openai
from glide_jax.planning import cost
from glide_jax.runtime import enable_compilation_cache, split_cpu
from glide_jax.training import loop
from glide_jax.training.interrupt import Interrupt
from glide_jax.training.job import Job
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
    arguments = parser.parse_args(words)
    if arguments.largest:
        find_largest_batch(arguments.config, overrides)
        return
    experiment = config.experiment_from(config.load_config(arguments.config, overrides))
    experiment = with_steps(experiment.only(next(iter(experiment.stages))), arguments.steps)
    split_cpu(experiment.cpu_devices)
    enable_compilation_cache()
    with tempfile.TemporaryDirectory() as folder:
        (job,) = make_jobs(experiment, Path(folder)).stages
        estimate = cost.estimate(job)
        print(f"{jax.device_count()} × {jax.devices()[0].device_kind}; {estimate}")
        print(f"a matrix product: {estimate.peak_flops_per_s / 1e9:,.0f} GFLOP/s", flush=True)
        with Interrupt() as interrupt:
            loop.train(dataclasses.replace(job, mfu=estimate.mfu), interrupt, None)
        print_figures(read(job.directory / "metrics.jsonl"), job, arguments.steps)
        print_slowest(job.directory)
        if arguments.torch:
            print_torch(job, arguments.steps)


def with_steps(experiment: config.Experiment, steps: int) -> config.Experiment:
    """Three times so many steps, all logged, a checkpoint after each third, two steps traced."""
    training = dataclasses.replace(
        experiment.first_stage.training,
        num_steps=3 * steps,
        log_every_steps=1,
        checkpoint_every_steps=steps,
        keep_checkpoints=1,
    )
    monitoring = config.MonitoringConfig(("jsonl",), (3 * steps - 1, 3 * steps))
    (name,) = experiment.stages
    stages = {name: dataclasses.replace(experiment.first_stage, training=training)}
    return dataclasses.replace(experiment, stages=stages, monitoring=monitoring)


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in file.open()]


def print_figures(rows: list[dict[str, Any]], job: Job, steps: int) -> None:
    """Print the speed, the time spent waiting, what a checkpoint adds, and the memory."""
    batch = job.training.batch_size
    seconds = np.array([batch / row["images_per_s"] for row in rows[1:]])  # of step 2, 3, …
    quiet = seconds[: steps - 1]
    a_step = float(np.median(quiet))
    speed = next(row for row in rows[1:] if batch / row["images_per_s"] >= a_step)
    mfu = speed["mfu"] * speed["images_per_s"] ** -1 * batch / a_step
    print(f"{a_step:.4g} s a step of {batch}: {batch / a_step:.4g} images/s, MFU {mfu:.1%}")
    waits = np.mean([row["input_wait"] for row in rows[1:steps]])
    print(f"waiting for data: {waits:.2%} of the time")
    # The step at which a checkpoint is started, and those during which it is written.
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


def print_slowest(directory: Path) -> None:
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


def print_torch(job: Job, steps: int) -> None:
    """Print the seconds of the same step in PyTorch, and its slowest operations."""
    import torch
    from glide_text2im import model_creation

    of_the_diffusion = ("diffusion_steps", "timestep_respacing", "noise_schedule")
    chosen = {k: v for k, v in openai.options(job.model).items() if k not in of_the_diffusion}
    model = model_creation.create_model(**chosen | {"cache_text_emb": False, "use_fp16": False})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).train()
    averages = [p.detach().clone() for p in model.parameters()]
    training = job.training
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate)
    size, batch = job.model.config.image_size, training.batch_size
    length = job.experiment.text_length
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


def find_largest_batch(file: str, overrides: Sequence[str]) -> None:
    """Double the batch until a step of it fails, and print what each took."""
    experiment = config.experiment_from(config.load_config(file, overrides))
    (name, stage), *_ = experiment.stages.items()
    batch = stage.training.batch_size
    while True:
        more = [f"--config.{override}" for override in overrides]
        more += [
            f"--config.stages.{name}.training.batch_size={batch}",
            "--steps=2",
            f"--config={file}",
        ]
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
