"""A model is never in memory twice: a process's peak while it imports and exports IF's smallest."""

import math

import numpy as np
import peak_memory
import pytest

from glide_jax.interop import files, namings, openai, released
from glide_jax.interop.families import imagen

NAME = "if-i-m"
RUN = """
from glide_jax import cli
from glide_jax.interop import exporting, importing  # what they load is not what they need

before = begin()
if code := cli.main(sys.argv[1:]):
    sys.exit(code)
print()
print(json.dumps(peak(before)))
"""


def held(names, path):
    """Write a file of float16 under such names; the result is how many weights it has."""
    model = imagen.build({}, released.HELD[NAME].options)
    shapes = openai.reference_shapes(model, names)
    some = np.random.default_rng(0).standard_normal(2**16).astype(np.float32)
    arrays = ((key, np.resize(some, shape)) for key, shape in shapes.items())
    files.write_each(path, shapes, arrays, "float16")
    return sum(math.prod(shape) for shape in shapes.values())


@pytest.mark.slow
@peak_memory.needs_linux
@pytest.mark.parametrize(
    ("names", "dtype"), [*zip(sorted(namings.NAMINGS), ("float32", "bfloat16"), strict=True)]
)
def test_a_conversion_takes_little_more_memory_than_the_weights(names, dtype, tmp_path):
    path = tmp_path / "held.safetensors"
    size = held(names, path) * (4 if dtype == "float32" else 2)
    run, out = tmp_path / "run", tmp_path / "out.safetensors"
    words = ("import", path, "--as", NAME, "--out", run, "--dtype", dtype)
    assert peak_memory.measured(RUN, *words) < 1.3 * size
    words = ("export", run, "--out", out, "--dtype", dtype, "--names", names)
    assert peak_memory.measured(RUN, *words) < 0.8 * size
    assert out.stat().st_size > size
