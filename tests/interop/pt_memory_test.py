"""A `.pt` file is in memory once while it is written: PyTorch wants all of it together."""

import peak_memory
import pytest

WRITE = """
from glide_jax.interop import files

def write(path, rows):
    shapes = {f"w{i}": (rows, 1024) for i in range(32)}
    made = ((key, jax.numpy.ones(shape, jax.numpy.float32)) for key, shape in shapes.items())
    files.write_each(path, shapes, made, sys.argv[2])

path = Path(sys.argv[1])
write(path, 1)  # what it loads is not what it needs
before = begin()
write(path, 2048)
print(json.dumps([peak(before), path.stat().st_size]))
"""


@pytest.mark.slow
@peak_memory.needs_linux
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_writing_one_takes_little_more_memory_than_the_file(dtype, tmp_path):
    pytest.importorskip("torch")
    peak, size = peak_memory.measured(WRITE, tmp_path / "w.pt", dtype)
    assert size > 32 * 2048 * 1024 * (4 if dtype == "float32" else 2)
    assert peak < 1.3 * size
