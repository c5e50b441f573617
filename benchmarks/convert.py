"""Seconds and memory to import a checkpoint, and to load the imported one.

    python benchmarks/convert.py base.pt --as base

Each is a process of its own, so that its peak memory is its own. Without FILE one of the released
architecture is made, with random weights.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MAKE = """
import sys
from pathlib import Path
import jax, numpy as np
from glide_jax.interop import files, openai, released
options = released.FILES[sys.argv[1]].options
model = openai.build({key: np.zeros(0) for key in ("transformer.",)}, options)
params = jax.jit(model.init)(jax.random.key(0))
files.write(sys.argv[2], openai.to_state_dict(model, params), "float32")
"""
IMPORT = """
import sys
from glide_jax import cli
sys.exit(cli.main(["import", sys.argv[2], "--as", sys.argv[1], "--out", sys.argv[3]]))
"""
LOAD = """
import sys
from pathlib import Path
import jax
from glide_jax.models.families import model_of
from glide_jax.checkpoints import open_stage
checkpoint = open_stage(Path(sys.argv[3]))
experiment = checkpoint.experiment
(stage,) = experiment.stages.values()
vocab_size, length = experiment.text.vocab_size, experiment.text.length
model = model_of(stage, vocab_size=vocab_size, text_length=length)
jax.block_until_ready(checkpoint.restore({"ema_params": model.shapes}))
"""


def measure(what: str, program: str, *arguments: str) -> None:
    """Run a program and print its seconds and memory."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{what} failed")
    seconds, peak = time.perf_counter() - start, usage.ru_maxrss / 2**20
    cpu = usage.ru_utime + usage.ru_stime
    print(f"{what}: {seconds:.1f} s ({cpu:.1f} s of CPU), at most {peak:.2f} GiB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--as", dest="name", default="base")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file, out = arguments.file, f"{folder}/imported"
        if file is None:
            file = Path(folder) / "made.pt"
            measure("make", MAKE, arguments.name, str(file))
        print(f"{file}: {file.stat().st_size / 2**30:.2f} GiB; {os.cpu_count()} cores")
        measure("import", IMPORT, arguments.name, str(file), out)
        measure("load", LOAD, arguments.name, str(file), out)


if __name__ == "__main__":
    main()
