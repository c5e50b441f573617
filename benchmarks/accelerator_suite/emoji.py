"""400 steps of configs/emoji.py by the command that people use, and what its last line says."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SMALL = (
    "data.source=emoji/32",
    "stages.base.model.image_size=32",
    "stages.base.model.dtype=float32",
    "stages.base.model.channels=32",
    "stages.base.model.norm_groups=8",
    "stages.base.model.channel_mult=(1,)",
    "stages.base.model.num_res_blocks=1",
    "stages.base.model.attention_resolutions=()",
    "stages.base.model.text_layers=1",
    "stages.base.training.batch_size=16",
    "stages.base.training.microbatch_size=0",
    "stages.base.sampling.steps=2",
)
SHOWN = ("step", "loss", "grad_norm", "images_per_s", "mfu", "input_wait")
POLL_S = 2.0


def run(out: Path, *, smoke: bool) -> Iterator[tuple[str, Any]]:
    """Yield the first and the last line of the run's metrics, again and again while it trains."""
    workdir, steps = out / "emoji", 4 if smoke else 400
    overrides = [
        *(SMALL if smoke else ()),
        f"stages.base.training.num_steps={steps}",
        f"stages.base.training.log_every_steps={max(1, steps // 40)}",
        f"stages.base.training.sample_every_steps={steps}",
        "evaluation=none",
    ]
    command = [sys.executable, "-m", "glide_jax.main", "--config=emoji", f"--workdir={workdir}"]
    flags = [f"--config.{override}" for override in overrides]
    with subprocess.Popen([*command, *flags]) as process:
        while process.poll() is None:
            time.sleep(POLL_S)
            yield from rows(workdir)
    if process.returncode:
        raise RuntimeError(f"the run ended with status {process.returncode}; its log says why")
    yield from rows(workdir)
    yield "samples", str(workdir / "samples.png")


def rows(workdir: Path) -> Iterator[tuple[str, Any]]:
    """The first and the last line of a run's metrics so far."""
    file = workdir / "base" / "metrics.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    for name, line in (("first", lines[:1]), ("last", lines[-1:])):
        if line:
            values = json.loads(line[0])
            yield name, {key: values.get(key, "") for key in SHOWN}
