"""The chain of the optimizer, beyond its directions."""

import numpy as np
import tiny

from glide_jax.training.optimizer import make_optimizer
from glide_jax.training.packing import Packing


def test_weight_decay_leaves_scalars_out():
    config = tiny.experiment("stages.base.training.weight_decay=0.5").stages["base"].training
    params = {"kernel": np.full((3, 4), 2.0, np.float32), "bias": np.ones(3, np.float32)}
    params["logit_scale"] = np.float32(2)
    packing = Packing(params)
    optimizer = make_optimizer(config, packing)
    packed = packing.pack(params)
    still = {path: np.zeros_like(x) for path, x in packed.items()}
    state = optimizer.init(packed)
    for _ in range(3):  # the learning rate warms up
        updates, state = optimizer.update(still, state, packed)
    updates = packing.unpack(updates)
    assert updates["logit_scale"] == 0
    assert (np.asarray(updates["kernel"]) < 0).all()
    assert (np.asarray(updates["bias"]) < 0).all()
