"""How weights are split: by all devices that share them, over one dimension or two."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.sharding import AbstractMesh

from glide_jax import config
from glide_jax.parallel import mesh as mesh_module
from glide_jax.parallel.mesh import axes_of, batch_sharding, make_mesh, weight_sharding
from glide_jax.planning.jobs import planned_jobs
from glide_jax.planning.memory import abstract_mesh, state_bytes
from glide_jax.training.lowering import abstract_state

CHIPS = (1, 8, 64, 128, 256)


def specs(fsdp, **shapes):
    names, sizes, kinds = axes_of(fsdp, fsdp)
    whole = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    found = weight_sharding(AbstractMesh(sizes, names, axis_types=kinds), whole)
    return {name: tuple(sharding.spec) for name, sharding in found.items()}


def test_one_dimension_is_split_where_all_devices_divide_it():
    kernel = (3, 3, 192, 384)
    assert specs(64, **{"a.conv.kernel": kernel}) == {"a.conv.kernel": (None, None, None, "fsdp")}
    both = ("fsdp", "fsdp_rest")
    assert specs(128, **{"a.conv.kernel": kernel}) == {"a.conv.kernel": (None, None, None, both)}


def test_two_dimensions_are_split_where_neither_is_divided_by_all():
    found = specs(256, **{"a.conv.kernel": (3, 3, 192, 192), "a.kernel": (192, 576)})
    assert found == {
        "a.conv.kernel": (None, None, "fsdp_rest", "fsdp"),
        "a.kernel": ("fsdp_rest", "fsdp"),
    }


def test_what_can_t_be_split_so_far_is_split_as_far_as_it_can():
    assert specs(128, **{"a.kernel": (27, 64 * 101)}) == {"a.kernel": (None, "fsdp")}
    assert specs(8, **{"a.kernel": (1001, 1001)}) == {"a.kernel": ()}
    assert specs(128, **{"a.bias": (2**17,)}) == {"a.bias": ()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "upsampler", "imagen_256"])
def test_more_chips_hold_less_each(name):
    """The released sizes: what isn't split is less than a hundredth of all."""
    loaded = config.experiment_from(config.load_config(tiny.CONFIGS / f"{name}.py", []))
    (job,) = planned_jobs(loaded).stages
    state = abstract_state(job)
    sizes = [state_bytes(state, abstract_mesh(chips, chips)).least for chips in CHIPS]
    for chips, size in zip(CHIPS, sizes, strict=True):
        assert size <= sizes[0] / chips + 0.002 * sizes[0], chips


def test_a_product_with_weights_on_two_axes_is_that_of_one_device(monkeypatch):
    monkeypatch.setattr(mesh_module, "SMALL", 50)
    monkeypatch.setattr(mesh_module, "MOST_A_DIMENSION", 2)
    mesh = make_mesh(4)
    assert mesh.shape == {"data": 2, "fsdp": 2, "fsdp_rest": 2}
    random = np.random.default_rng(0)
    kernel, x = random.standard_normal((6, 10)), random.standard_normal((16, 6))
    sharding = weight_sharding(mesh, {"a.kernel": jnp.asarray(kernel)})["a.kernel"]
    assert math.prod(sharding.shard_shape((6, 10))) == 15
    placed = jax.device_put(jnp.float32(kernel), sharding)
    rows = jax.device_put(jnp.float32(x), batch_sharding(mesh))
    assert rows.addressable_shards[0].data.shape == (2, 6)
    found = jax.jit(jnp.matmul)(rows, placed)
    np.testing.assert_allclose(found, x @ kernel, rtol=1e-5, atol=1e-5)
