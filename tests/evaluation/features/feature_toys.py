"""A feature net that takes no time: two products of the pixels of an 8×8 image."""

import jax.numpy as jnp
import numpy as np

from glide_jax.evaluation.features.net import feature_net

WIDTHS = {"pool": 5, "spatial": 3}


def toy_net(*, mesh=None, rows=4, resize="pytorch", fingerprint="a toy's", traced=None):
    """A net named inception; `traced` gets the shape of every batch it is traced for."""
    random = np.random.default_rng(0)
    weights = {k: random.standard_normal((192, w)).astype(np.float32) for k, w in WIDTHS.items()}

    def apply(prepared, x):
        if traced is not None:
            traced.append(x.shape)
        flat = x.reshape(len(x), -1)
        return {name: jnp.tanh(flat @ prepared[name]) for name in WIDTHS}

    return feature_net(
        "inception",
        resize=resize,
        size=8,
        network_input=lambda pixels: pixels / 1000,
        apply=apply,
        prepared=weights,
        fingerprint=fingerprint,
        mesh=mesh,
        rows=rows,
    )


def images(count, size=12, seed=0):
    """u8[count size size 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)
