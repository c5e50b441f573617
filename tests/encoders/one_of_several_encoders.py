"""A process that encodes captions with others: COORDINATOR N I FOLDER OUT."""

import sys
from pathlib import Path

import numpy as np

from glide_jax.encoders import load_encoder
from glide_jax.parallel import mesh
from glide_jax.parallel.processes import join

CAPTIONS = ["a red circle", "two green triangles", ""]


def main(coordinator, count, process, folder, out):
    join(coordinator, int(count), int(process))
    mesh.SMALL = 0  # so that small weights are split as well
    everyone = mesh.make_mesh(fsdp=4)
    encoder = load_encoder("t5", Path(folder), dtype="float32", mesh=everyone)
    kernel = encoder._params["blocks.0.mlp_in.kernel"]
    assert kernel.addressable_shards[0].data.size == kernel.size // 4
    assert not kernel.is_fully_addressable
    np.save(out, encoder.encode(CAPTIONS, 8).embedding)
    encoder.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
