"""Seconds and memory to import a checkpoint, to load the imported one, and to export it.

    python benchmarks/convert.py base.pt --as base
    python benchmarks/convert.py --as if-i-xl --dtype bfloat16 --folder /disk

Each is a process of its own, so that its peak memory is its own, Python and JAX included. Without
FILE one of the released architecture is made in float16, one array at a time; it, the workdir and
the exported file lie in FOLDER until the end.
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
import numpy as np
from glide_jax.interop import files, openai, released
from glide_jax.interop.families import adm, classifier, glide, imagen
(file,) = released.model_files(sys.argv[1])
family = {"glide": glide, "adm": adm, "classifier": classifier, "imagen": imagen}[file.kind]
model = family.build({}, file.options)
shapes = openai.reference_shapes(model)
some = np.random.default_rng(0).standard_normal(2**20, np.float32)
arrays = ((key, 0.02 * np.resize(some, shape)) for key, shape in shapes.items())
files.write_each(sys.argv[2], shapes, arrays, "float16")
"""
RUN = """
import sys
from glide_jax import cli
sys.exit(cli.main(sys.argv[1:]))
"""
LOAD = """
import sys
from pathlib import Path
import jax
from glide_jax.checkpoints import open_stage
checkpoint = open_stage(Path(sys.argv[1]))
jax.block_until_ready(checkpoint.weights("ema_params", checkpoint.shapes("ema_params")))
"""
COUNT = """
import sys
from glide_jax.interop.weights import open_weights
print(sum(array.size for array in open_weights(sys.argv[1]).values()))
"""
_GIB = 2**30


def measure(what: str, size: float, program: str, *arguments: str) -> None:
    """Run a program and print its seconds and memory, beside the weights' `size` in GiB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{what} failed")
    seconds, peak = time.perf_counter() - start, usage.ru_maxrss / 2**20
    cpu = usage.ru_utime + usage.ru_stime
    ratio = f", {peak / size:.2f} × the weights" if size else ""
    print(
        f"{what}: {seconds:.1f} s ({cpu:.1f} s of CPU), at most {peak:.2f} GiB{ratio}", flush=True
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--as", dest="name", default="base")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed again")
    arguments = parser.parse_args()
    name, dtype = arguments.name, arguments.dtype
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        file, run, out = arguments.file, f"{folder}/imported", f"{folder}/out.safetensors"
        if file is None:
            file = Path(folder) / "made.safetensors"
            measure("make", 0, MAKE, name, str(file))
        count = subprocess.check_output([sys.executable, "-c", COUNT, str(file)], text=True)
        size = int(count) * (4 if dtype == "float32" else 2) / _GIB
        print(
            f"{file}: {file.stat().st_size / _GIB:.2f} GiB, {int(count):,} weights, {size:.2f} GiB "
            f"in {dtype}; {os.cpu_count()} cores"
        )
        words = (str(file), "--as", name, "--out", run, "--dtype", dtype)
        measure("import", size, RUN, "import", *words)
        measure("load", size, LOAD, run)
        measure("export", size, RUN, "export", run, "--out", out, "--dtype", dtype)


if __name__ == "__main__":
    main()
