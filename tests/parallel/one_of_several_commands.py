"""A process of `glide-jax`: WORKDIR WORD…; the model of the workdir is `tiny.linear`.

`write WORKDIR` makes the workdir instead. The feature net `toy` is a matrix on this process's
devices. FSDP=N of the environment: weights fit only where N devices share them.
"""

import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import tiny
from evaluation import evaluation_toys

from glide_jax import cli, data
from glide_jax.evaluation import features
from glide_jax.evaluation.features.net import feature_net
from glide_jax.parallel import mesh
from glide_jax.sampling import loading

WIDTH = 8


def toy_net(path, *, resize, mesh):
    """Images → products with a matrix of 16×16 pixels."""
    matrix = np.random.default_rng(0).standard_normal((16 * 16 * 3, WIDTH)).astype(np.float32)

    def apply(prepared, x):
        rows = x.reshape(len(x), -1) @ prepared["matrix"] / 255
        return {"pool": rows, "spatial": rows[:, :4], "logits": rows[:, :6]}

    return feature_net(
        "toy",
        resize="tensorflow",
        size=16,
        network_input=lambda x: x,
        apply=apply,
        prepared={"matrix": matrix},
        fingerprint="f" * 64,
        mesh=mesh,
        rows=4,
    )


def main(workdir, *words):
    mesh.SMALL = 500  # so that small weights are split as well
    data.prepare = lambda name, path: None
    data.open_source = lambda name, path, split: tiny.Swatches()
    features.FEATURE_NETS["toy"] = toy_net
    if least := int(os.environ.get("FSDP", "0")):
        loading.missing_memory = lambda arrays: (
            None if arrays[0].sharding.mesh.shape["fsdp"] >= least else "too much"
        )
    model = tiny.linear(evaluation_toys.experiment())
    with mock.patch.object(loading, "model_of", return_value=model):
        return cli.main([*words, f"--checkpoint={workdir}"])


if __name__ == "__main__":
    if sys.argv[1] == "write":
        with evaluation_toys.workdir_of(Path(sys.argv[2])):
            sys.exit()
    sys.exit(main(*sys.argv[1:]))
