"""What must hold of the classifier whatever its weights are."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from model_toys import filled

from glide_jax.config import ClassifierConfig
from glide_jax.models.attention_pool import AttentionPool
from glide_jax.models.classifier import classifier
from glide_jax.models.pure import Pure

pytestmark = pytest.mark.newest

CONFIG = ClassifierConfig(
    family="classifier",
    image_size=8,
    channels=16,
    channel_mult=(1, 2),
    num_res_blocks=1,
    attention_resolutions=(4,),
    head_channels=8,
    norm_groups=4,
    dropout=0.0,
    scale_shift_norm=True,
    resblock_updown=True,
    num_classes=7,
    dtype="float32",
    remat="none",
)
X_T = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype(np.float32)
T = np.array([0, 100, 900], np.int32)


@functools.cache
def build(**changes):
    """A compiled (x_t, t[, key]) → logits."""
    model = classifier(dataclasses.replace(CONFIG, **changes))
    params = filled(model.shapes)
    return jax.jit(lambda x_t, t, key=None: model.apply(params, x_t, t, key))


def test_a_image_depends_on_its_pixels_and_its_timestep_and_on_no_other_image():
    run = build()
    logits, middle = run(X_T, T), np.array([0, 1, 0], np.int32)
    assert logits.shape == (3, 7)
    for changed in (
        run(X_T + np.float32(0.1) * middle[:, None, None, None], T),
        run(X_T, T + 300 * middle),
    ):
        assert (jnp.abs(changed - logits).max(1) > 1e-3).tolist() == [False, True, False]


def test_bfloat16_comes_out_float32():
    run = build(dtype="bfloat16")
    assert "bf16" in run.lower(X_T, T).as_text()
    assert jax.eval_shape(run, X_T, T).dtype == jnp.float32


def test_dropout_is_its_key_s_and_off_without_one():
    small = {"channel_mult": (1,), "attention_resolutions": (8,)}
    plain, run = build(**small), build(dropout=0.5, **small)
    assert run.lower(X_T, T).as_text() == plain.lower(X_T, T).as_text()
    first, again, other = (
        run(X_T, T, jax.random.split(jax.random.key(k), len(T))) for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert jnp.abs(first - other).max() > 1e-3


POOL = Pure(lambda rngs: AttentionPool(8, num_pixels=4, num_heads=2, width_out=3, rngs=rngs))
NOWHERE = {"positional_embedding": np.zeros((5, 8), np.float32)}


@jax.jit
def pool(params, x):
    return POOL.bind(params)(x)


def test_pool_knows_where_a_pixel_is_by_its_position_alone():
    params = filled(POOL.shapes)
    x = np.random.default_rng(0).standard_normal((1, 2, 2, 8)).astype(np.float32)
    turned = x[:, ::-1, ::-1]
    assert np.abs(pool(params, turned) - pool(params, x)).max() > 1e-2
    params |= NOWHERE
    np.testing.assert_allclose(pool(params, turned), pool(params, x), atol=1e-5)


def test_pool_of_one_colour_is_that_colour_s_value():
    params = filled(POOL.shapes) | NOWHERE
    colour = np.random.default_rng(0).standard_normal((1, 8)).astype(np.float32)
    by_head = (colour @ params["qkv.kernel"] + params["qkv.bias"]).reshape(2, 3, 4)
    value = by_head[:, 2].reshape(1, 8) @ params["proj.kernel"] + params["proj.bias"]
    x = np.broadcast_to(colour[:, None, None], (1, 2, 2, 8))
    np.testing.assert_allclose(pool(params, x), value, atol=1e-5)
