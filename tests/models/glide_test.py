"""What must hold of GLIDE's models whatever their weights are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from glide_jax.models.glide import glide
from glide_jax.models.layers import timestep_embedding
from glide_jax.types import Condition

pytestmark = pytest.mark.newest

VOCAB, LENGTH = 50, 6


def build(learn_variance=False, **changes):
    config = tiny.experiment(*tiny.ATTENDING)
    config = dataclasses.replace(config.first_stage.model, **changes)
    model = glide(config, vocab_size=VOCAB, text_length=LENGTH, learn_variance=learn_variance)
    params = model.init(jax.random.key(0))
    # Zero-initialised layers hide everything behind them: make them count.
    keys = jax.random.split(jax.random.key(1), len(params))
    return model, {
        path: value + 0.05 * jax.random.normal(key, value.shape)
        for (path, value), key in zip(params.items(), keys, strict=True)
    }


def inputs(batch, size=8, **images):
    x_t = jax.random.normal(jax.random.key(2), (batch, size, size, 3))
    tokens = jax.random.randint(jax.random.key(3), (batch, LENGTH), 0, VOCAB)
    mask = jnp.arange(LENGTH)[None] < jnp.arange(1, batch + 1)[:, None]
    return x_t, 100 * jnp.arange(batch), Condition(tokens=tokens, mask=mask, **images)


def run(model, params, x_t, t, condition, key=None):
    return model.apply(params, x_t, t, model.encode(params, condition), key)


@pytest.mark.slow
@pytest.mark.parametrize("updown", [False, True])
def test_a_image_does_not_see_its_neighbours(updown):
    model, params = build(resblock_updown=updown)
    x_t, t, condition = inputs(3)
    together = run(model, params, x_t, t, condition)
    alone = run(model, params, x_t[1:2], t[1:2], jax.tree.map(lambda x: x[1:2], condition))
    np.testing.assert_allclose(together[1:2], alone, atol=2e-5)


def test_output_depends_on_every_input():
    model, params = build()
    x_t, t, condition = inputs(2)
    out = run(model, params, x_t, t, condition)
    other_tokens = dataclasses.replace(condition, tokens=(condition.tokens + 1) % VOCAB)
    other_mask = dataclasses.replace(condition, mask=~condition.mask)
    for changed in (
        run(model, params, x_t + 0.1, t, condition),
        run(model, params, x_t, t + 300, condition),
        run(model, params, x_t, t, other_tokens),
        run(model, params, x_t, t, other_mask),
    ):
        assert jnp.abs(changed - out).max() > 1e-3


def test_padding_hides_the_tokens_behind_it():
    model, params = build()
    x_t, t, condition = inputs(2)
    tokens = jnp.where(condition.mask, condition.tokens, 7)
    hidden = run(model, params, x_t, t, dataclasses.replace(condition, tokens=tokens))
    np.testing.assert_array_equal(hidden, run(model, params, x_t, t, condition))


def test_learned_variance_doubles_the_channels():
    model, params = build(learn_variance=True)
    assert run(model, params, *inputs(1)).shape == (1, 8, 8, 6)


def test_bfloat16_is_near_float32_and_comes_out_float32():
    model, params = build()
    rough, _ = build(dtype="bfloat16")
    out, near = run(model, params, *inputs(2)), run(rough, params, *inputs(2))
    assert near.dtype == jnp.float32
    error = jnp.linalg.norm(near - out) / jnp.linalg.norm(out)
    assert 1e-4 < error < 5e-2
    assert all(value.dtype == jnp.float32 for value in rough.init(jax.random.key(0)).values())


def test_an_untrained_model_says_nothing():
    model, _ = build()
    out = run(model, model.init(jax.random.key(0)), *inputs(2))
    assert not out.any()


def test_dropout_is_its_key_s_and_off_without_one():
    model, params = build(dropout=0.5)
    x_t, t, condition = inputs(1)
    plain = run(model, params, x_t, t, condition)
    first, again, other = (
        run(model, params, x_t, t, condition, jax.random.split(jax.random.key(k), 1))
        for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert jnp.abs(first - other).max() > 1e-3
    assert jnp.abs(first - plain).max() > 1e-3


def test_upsampler_needs_and_uses_its_low_res_image():
    model, params = build(image_size=16, low_res_size=8, attention_resolutions=(8,))
    low_res = jax.random.uniform(jax.random.key(4), (2, 8, 8, 3))
    x_t, t, condition = inputs(2, 16, low_res=low_res)
    out = run(model, params, x_t, t, condition)
    darker = run(model, params, x_t, t, dataclasses.replace(condition, low_res=low_res - 1))
    assert jnp.abs(out - darker).max() > 1e-3
    with pytest.raises(ValueError, match="low_res"):
        run(model, params, x_t, t, dataclasses.replace(condition, low_res=None))


def test_inpainting_model_does_not_see_the_pixels_to_sample():
    model, params = build(inpaint=True)
    image = jax.random.uniform(jax.random.key(4), (2, 8, 8, 3))
    mask = jnp.zeros((2, 8, 8, 1)).at[:, :4].set(1)
    x_t, t, condition = inputs(2, inpaint_image=image, inpaint_mask=mask)
    out = run(model, params, x_t, t, condition)
    unseen = dataclasses.replace(condition, inpaint_image=image.at[:, 4:].add(1))
    np.testing.assert_array_equal(run(model, params, x_t, t, unseen), out)
    seen = dataclasses.replace(condition, inpaint_image=image.at[:, :4].add(1))
    assert jnp.abs(run(model, params, x_t, t, seen) - out).max() > 1e-3


def test_timestep_embedding_tells_neighbours_apart():
    embedded = timestep_embedding(jnp.arange(1000), 64)
    assert embedded.shape == (1000, 64)
    np.testing.assert_allclose(embedded[0], [1] * 32 + [0] * 32, atol=1e-7)
    assert jnp.abs(embedded[1:] - embedded[:-1]).max(1).min() > 0.5


def test_the_guidance_scale_is_each_image_s_own_and_has_no_effect_before_training():
    model, params = build(guidance_range=(1.0, 6.0))
    x_t, t, condition = inputs(3)
    scales = jnp.array([1.0, 3.0, 1.0])
    one, other = (
        run(model, params, x_t, t, dataclasses.replace(condition, guidance_scale=scale))
        for scale in (jnp.ones(3), scales)
    )
    assert (one != other).any((1, 2, 3)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="needs guidance_scale"):
        run(model, params, x_t, t, condition)
    fresh = model.init(jax.random.key(0))
    assert not fresh["guidance_embedding.level_out.kernel"].any()
    plain = {path for path in fresh if not path.startswith("guidance_embedding.")}
    assert (
        plain
        == glide(
            dataclasses.replace(model.config, guidance_range=()),
            vocab_size=VOCAB,
            text_length=LENGTH,
            learn_variance=False,
        ).shapes.keys()
    )
