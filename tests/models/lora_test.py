"""Low-rank adapters as functions of weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax import config
from glide_jax.config import AdapterConfig
from glide_jax.errors import UserError
from glide_jax.models import lora
from glide_jax.models.lora import GROUPS, lora_of, merged
from glide_jax.planning.jobs import planned_jobs
from glide_jax.registries import check_names

SHAPES = {
    "unet.blocks.0.qkv.kernel": (6, 9),
    "unet.blocks.0.emb_proj.kernel": (6, 8),
    "unet.blocks.0.in_conv.kernel": (3, 3, 4, 5),
    "unet.blocks.0.in_conv.bias": (5,),
    "text.blocks.0.mlp_in.kernel": (6, 2),
    "text.token_embedding": (10, 6),
}


def settings(rank=3, alpha=6.0, weights=tuple(GROUPS)):
    return AdapterConfig(rank, alpha, weights)


def weights_of(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {path: jnp.asarray(rng.normal(size=s), jnp.float32) for path, s in shapes.items()}


def adapter(**options):
    shapes = {path: jax.ShapeDtypeStruct(s, jnp.float32) for path, s in SHAPES.items()}
    return lora_of(shapes, settings(**options))


def trained(own, seed=1):
    """Arrays of an adapter whose B is not 0."""
    return weights_of({path: s.shape for path, s in own.shapes.items()}, seed)


@pytest.mark.newest
def test_an_adapter_starts_as_its_base():
    own, base = adapter(), weights_of(SHAPES)
    start = own.init(jax.random.key(0))
    assert {path: x.shape for path, x in start.items()} == {
        path: s.shape for path, s in own.shapes.items()
    }
    merged_ = own.merge(base | start)
    assert merged_.keys() == base.keys()
    for path, x in base.items():
        np.testing.assert_array_equal(merged_[path], x, err_msg=path)
    assert all(np.abs(start[path]).min() > 0 for path in start if path.endswith(lora.A))


def test_a_dense_kernel_gets_the_product_of_both():
    own, base = adapter(), weights_of(SHAPES)
    arrays, path = trained(own), "unet.blocks.0.qkv.kernel"
    x = jax.random.normal(jax.random.key(2), (7, 6))
    expected = x @ base[path] + 6 / 3 * (x @ arrays[path + lora.A]) @ arrays[path + lora.B]
    np.testing.assert_allclose(x @ own.merge(base | arrays)[path], expected, rtol=1e-4, atol=1e-4)


def test_a_convolution_gets_one_to_few_channels_and_a_pointwise_one():
    own, base = adapter(), weights_of(SHAPES)
    arrays, path = trained(own), "unet.blocks.0.in_conv.kernel"
    x = jax.random.normal(jax.random.key(2), (2, 6, 6, 4))

    def convolved(x, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)

    few = convolved(x, arrays[path + lora.A].reshape(3, 3, 4, 3))
    expected = convolved(x, base[path]) + 2 * few @ arrays[path + lora.B]
    found = convolved(x, own.merge(base | arrays)[path])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("group", GROUPS)
def test_only_the_groups_that_are_asked_for_change(group):
    own, base = adapter(weights=(group,)), weights_of(SHAPES)
    after = own.merge(base | trained(own))
    changed = {path for path, x in base.items() if not np.array_equal(x, after[path])}
    name = {"attention": "qkv", "dense": "emb_proj", "convolutions": "conv", "text": "mlp"}[group]
    assert changed == {path for path in SHAPES if name in path and path.endswith("kernel")}


def test_a_kernel_smaller_than_the_rank_has_its_own_rank():
    own = adapter(rank=4)
    assert own.shapes["text.blocks.0.mlp_in.kernel" + lora.A].shape == (6, 2)


def test_weights_are_linear_and_need_no_other_program():
    """Half of an adapter twice is all of it; no weight compiles again."""
    own, base = adapter(), weights_of(SHAPES)
    arrays, path = trained(own), "unet.blocks.0.qkv.kernel"
    half = merged(merged(base, arrays, 0.5), arrays, 0.5)
    for name, x in merged(base, arrays, 1.0).items():
        np.testing.assert_allclose(half[name], x, rtol=1e-5, atol=1e-5)
    kernel = base[path], arrays[path + lora.A], arrays[path + lora.B]
    lora.add(*kernel, 0.1)
    before = lora.add._cache_size()
    for weight in (-1.0, 0.0, 0.7):
        lora.add(*kernel, weight)
    assert lora.add._cache_size() == before


def test_a_small_change_of_a_weight_in_bfloat16_is_not_rounded_away():
    path = "unet.blocks.0.qkv.kernel"
    base = {path: jnp.full((6, 9), 1.0, jnp.bfloat16)}
    arrays = {path + lora.A: jnp.full((6, 1), 1e-2), path + lora.B: jnp.full((1, 9), 1e-2)}
    np.testing.assert_allclose(merged(base, arrays, 1.0)[path], 1.0001, rtol=1e-6)


@pytest.mark.parametrize("name", ["quickstart", "imagen_quickstart"])
def test_every_group_has_kernels_in_both_families(name):
    job = planned_jobs(config.experiment_from(config.load_config(name))).stages[0]
    found = {
        group: lora_of(job.model.shapes, settings(weights=(group,))).shapes for group in GROUPS
    }
    assert all(len(shapes) >= 10 for shapes in found.values())
    names = [path for shapes in found.values() for path in shapes]
    assert len(names) == len(set(names)), "no kernel is in two groups"
    kernels = {path for path in job.model.shapes if path.endswith(".kernel")}
    adapted = {path.removesuffix(lora.A).removesuffix(lora.B) for path in names}
    assert adapted == {path for path in kernels if path.startswith(("unet.", "text."))}


def with_adapter(**changes):
    values = config.to_dict(tiny.experiment("stages.base.training.init_from=somewhere"))
    adapter = {"rank": 2, "alpha": 2.0, "weights": ("attention",)} | changes
    values["stages"]["base"]["training"]["adapter"] = adapter
    return values


def test_a_config_has_an_adapter_or_none():
    assert tiny.experiment().stages["base"].training.adapter is None
    experiment = config.from_dict(with_adapter())
    assert experiment.stages["base"].training.adapter == settings(2, 2.0, ("attention",))
    assert config.from_dict(config.to_dict(experiment)) == experiment


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "adapter.rank must be 1 or more"),
        ({"alpha": 0.0}, "adapter.alpha must be above 0"),
        ({"weights": ()}, "adapter.weights must be one group"),
    ],
    ids=str,
)
def test_values_that_make_no_adapter_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        config.from_dict(with_adapter(**change))


def test_an_adapter_needs_a_base_and_frozen_text():
    values = with_adapter()
    values["stages"]["base"]["training"]["init_from"] = ""
    with pytest.raises(UserError, match=r"training\.init_from must be a workdir"):
        config.from_dict(values)
    values = config.to_dict(config.experiment_from(config.load_config("quickstart")))
    own = {"rank": 2, "alpha": 2.0, "weights": ("attention",)}
    values["stages"]["base"]["training"] |= {"init_from": "there", "adapter": own}
    with pytest.raises(UserError, match="text_pretraining must be left out"):
        config.from_dict(values)


def test_an_unknown_group_is_named():
    experiment = config.from_dict(with_adapter(weights=("atention",)))
    with pytest.raises(UserError, match="did you mean 'attention'"):
        check_names(experiment)
