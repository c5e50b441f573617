"""A model is never in memory twice: a process's peak while it reads T5-v1_1-large's weights."""

import encoder_toys
import numpy as np
import peak_memory
import pytest
import safetensors.numpy

from glide_jax.encoders.placing import Layout
from glide_jax.encoders.t5 import CONFIGS, table
from glide_jax.models.t5 import t5

NAME = "t5-v1_1-large"
LOAD = """
from glide_jax.encoders import load_encoder

before = begin()
encoder = load_encoder(sys.argv[1], Path(sys.argv[2]), dtype=sys.argv[3])
size = sum(array.nbytes for array in encoder._params.values())
highest = peak(before)
encoder.encode(["a red circle"], 8)
encoder.release()
print(json.dumps({"size": size, "peak": highest, "left": left(before)}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A folder with a model of 341 M weights in float32, in two shards."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "spiece.model").write_bytes(encoder_toys.spiece())
    shapes = t5(CONFIGS[NAME], dtype="float32").shapes
    wanted = Layout(table(CONFIGS[NAME]), ignored="").reference_shapes(shapes)
    rng, keys = np.random.default_rng(0), sorted(wanted)
    for i, part in enumerate([keys[::2], keys[1::2]], 1):
        arrays = {key: rng.standard_normal(wanted[key], np.float32) for key in part}
        safetensors.numpy.save_file(arrays, folder / f"model-0000{i}-of-00002.safetensors")
    return folder


@pytest.mark.slow
@peak_memory.needs_linux
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reading_takes_little_more_memory_than_the_weights(large, dtype):
    found = peak_memory.measured(LOAD, NAME, large, dtype)
    assert found["size"] == 341_231_104 * (4 if dtype == "float32" else 2)
    assert found["peak"] < 1.3 * found["size"], found
    assert found["left"] < 0.1 * found["size"], found
