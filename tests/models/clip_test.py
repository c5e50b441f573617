"""What must hold of CLIP whatever its weights are."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from glide_jax.config import ClipConfig, ClipImageConfig, ClipTextConfig
from glide_jax.models.clip import clip, join_params, similarity, split_params
from glide_jax.models.clip_layers import Block

pytestmark = pytest.mark.newest

VOCAB, LENGTH, SIZE, PATCH, STEPS = 40, 6, 12, 4, 20
CONFIG = ClipConfig(
    family="clip",
    image=ClipImageConfig(
        image_size=SIZE, patch_size=PATCH, width=16, layers=1, heads=2, num_timesteps=STEPS
    ),
    text=ClipTextConfig(width=24, layers=2, heads=3),
    embedding_width=10,
    logit_scale=25.0,
    dtype="float32",
)
RNG = np.random.default_rng(0)
X_T, T = RNG.standard_normal((3, SIZE, SIZE, 3), np.float32), np.array([0, 7, STEPS - 1], np.int32)
TOKENS = RNG.integers(1, VOCAB, (3, LENGTH), np.int32)
MASK = np.arange(LENGTH)[None] < np.array([2, 4, LENGTH])[:, None]


def filled(shapes):
    """Weights of a trained one's sizes: none is zero, no scale is one."""
    params = {}
    for path, shape in shapes.items():
        noise = RNG.standard_normal(shape.shape, np.float32)
        if path.endswith("kernel"):
            noise /= math.sqrt(math.prod(shape.shape[:-1]))
        params[path] = 1 + 0.1 * noise if path.endswith("scale") else noise
    return params


@pytest.fixture(scope="module")
def model():
    return clip(CONFIG, vocab_size=VOCAB, text_length=LENGTH)


@pytest.fixture(scope="module")
def params(model):
    return filled(model.shapes)


@pytest.fixture(scope="module")
def encode_image(model):
    return jax.jit(model.encode_image)


@pytest.fixture(scope="module")
def encode_text(model):
    return jax.jit(model.encode_text)


def differ(a, b):
    """Which rows are other features, bool[b]."""
    return np.abs(np.asarray(a) - np.asarray(b)).max(-1) > 1e-3


def test_what_stands_behind_the_caption_is_not_seen(params, encode_text):
    features = encode_text(params, TOKENS, MASK)
    padded = np.where(MASK, TOKENS, 0)
    np.testing.assert_array_equal(encode_text(params, padded, MASK), features)


@pytest.mark.parametrize("place", range(LENGTH))
def test_every_token_of_the_caption_is_seen(params, encode_text, place):
    other = TOKENS.copy()
    other[:, place] -= 1
    changed = differ(encode_text(params, other, MASK), encode_text(params, TOKENS, MASK))
    np.testing.assert_array_equal(changed, MASK[:, place])


def test_the_order_of_the_tokens_counts(params, encode_text):
    swapped = TOKENS[:, [1, 0, *range(2, LENGTH)]]
    assert differ(encode_text(params, swapped, MASK), encode_text(params, TOKENS, MASK)).all()


def test_features_are_read_where_the_caption_ends(params, encode_text):
    # With no values to attend to, the position that is read is the only one that is seen.
    blind = {k: np.zeros_like(v) if ".value." in k else v for k, v in params.items()}
    features = encode_text(blind, TOKENS, MASK)
    for place in range(LENGTH):
        other = TOKENS.copy()
        other[:, place] -= 1
        changed = differ(encode_text(blind, other, MASK), features)
        np.testing.assert_array_equal(changed, MASK.sum(-1) - 1 == place)


def test_every_pixel_is_seen(model, params):
    def feature(x_t):
        return model.encode_image(params, x_t, T)[:, 0].sum()

    assert np.abs(jax.jit(jax.grad(feature))(X_T)).min() > 0


def test_where_a_patch_stands_counts_by_its_position_alone(params, encode_image):
    moved = np.roll(X_T, (PATCH, 2 * PATCH), axis=(1, 2))
    assert differ(encode_image(params, moved, T), encode_image(params, X_T, T)).all()
    table = "image.positional_embedding"
    placeless = params | {table: np.zeros_like(params[table])}
    np.testing.assert_allclose(
        encode_image(placeless, moved, T), encode_image(placeless, X_T, T), atol=1e-5
    )


def test_every_timestep_has_a_row_of_its_own(params, encode_image):
    features = encode_image(params, X_T, T)
    assert differ(encode_image(params, X_T, (T + 1) % STEPS), features).all()
    table = params["image.time_embedding"].copy()
    table[7] *= -1
    other = encode_image(params | {"image.time_embedding": table}, X_T, T)
    np.testing.assert_array_equal(differ(other, features), T == 7)


def test_neither_sees_its_neighbours(params, encode_image, encode_text):
    # Each image in the place of the last, among copies of it.
    for i in range(3):
        for encode, inputs in ((encode_image, (X_T, T)), (encode_text, (TOKENS, MASK))):
            alone = encode(params, *(np.stack([value[i]] * 3) for value in inputs))
            np.testing.assert_allclose(alone[2], encode(params, *inputs)[i], atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_a_block_is_its_equations(causal):
    width, heads, length = 12, 3, 5
    block = Block(width, 1, heads, causal, jnp.dtype(jnp.float32), nnx.Rngs(0))
    state = nnx.state(block, nnx.Param)
    for _, leaf in nnx.to_flat_state(state):
        leaf[...] = jnp.asarray(RNG.standard_normal(leaf[...].shape, np.float32))
    nnx.update(block, state)
    given = x = RNG.standard_normal((2, length, width), np.float32)

    def norm(x, layer):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * np.asarray(layer.scale) + np.asarray(layer.bias)

    def linear(x, layer, bias):
        return x @ np.float64(layer.kernel) + bias

    def by_head(x):
        return np.moveaxis(x.reshape(2, length, heads, width // heads), 2, 1)

    h = norm(np.float64(x), block.attention_norm)
    query = by_head(linear(h, block.query, np.asarray(block.query.bias)))
    # The layer has no such bias: softmax would not see it.
    assert block.key.bias is None
    keys = by_head(linear(h, block.key, RNG.standard_normal(width)))
    values = by_head(linear(h, block.value, np.asarray(block.value.bias)))
    scores = query @ np.swapaxes(keys, -1, -2) / math.sqrt(width // heads)
    if causal:
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    attended = np.moveaxis(weights / weights.sum(-1, keepdims=True) @ values, 1, 2)
    x = x + linear(attended.reshape(x.shape), block.proj, np.asarray(block.proj.bias))
    h = linear(norm(x, block.mlp_norm), block.mlp_in, np.asarray(block.mlp_in.bias))
    h = h * (1 + np.vectorize(math.erf)(h / math.sqrt(2))) / 2
    expected = x + linear(h, block.mlp_out, np.asarray(block.mlp_out.bias))
    got = jax.jit(block)(given)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_similarity_is_a_cosine():
    text, image = RNG.standard_normal((2, 50, 8), np.float32)
    cosine = similarity(text, image)
    assert cosine.shape == (50,)
    assert np.abs(cosine).max() < 1
    np.testing.assert_allclose(similarity(3 * text, 0.1 * image), cosine, atol=1e-6)
    np.testing.assert_allclose(similarity(text, text), 1, atol=1e-6)
    np.testing.assert_allclose(similarity(text, -text), -1, atol=1e-6)


@pytest.mark.parametrize(
    ("learned", "scale", "gradients"),
    [
        (math.log(20), 20, {1: 20, -1: -20}),
        # The largest that it may be: a loss that falls with it can't push it further up.
        (math.log(100), 100, {1: 100, -1: 0}),
        (math.log(300), 100, {1: 100, -1: 0}),
    ],
)
def test_the_scale_is_held_below_100_and_comes_down_from_there(model, learned, scale, gradients):
    params = {"logit_scale": jnp.float32(learned)}
    np.testing.assert_allclose(model.logit_scale(params), scale, rtol=1e-5)
    for sign, expected in gradients.items():
        loss = jax.grad(lambda params, sign=sign: sign * model.logit_scale(params))
        np.testing.assert_allclose(loss(params)["logit_scale"], expected, rtol=1e-5)


def test_params_are_those_of_two_encoders(model, params, encode_image):
    image, text = split_params(params)
    assert image.keys() == model.image.shapes.keys()
    assert text.keys() == model.text.shapes.keys()
    joined = join_params(image, text, params["logit_scale"])
    assert joined.keys() == params.keys() == model.shapes.keys()
    np.testing.assert_allclose(
        jax.jit(model.image.apply)(image, X_T, T), encode_image(params, X_T, T), atol=1e-6
    )


def test_an_untrained_one_tells_images_and_captions_apart(model, encode_image, encode_text):
    # Not the default generator: that one takes long to compile.
    params = jax.jit(model.init)(jax.random.key(0, impl="unsafe_rbg"))
    assert {k: (v.shape, v.dtype) for k, v in params.items()} == {
        k: (v.shape, v.dtype) for k, v in model.shapes.items()
    }
    np.testing.assert_allclose(model.logit_scale(params), CONFIG.logit_scale, rtol=1e-5)
    for features in (encode_image(params, X_T, T), encode_text(params, TOKENS, MASK)):
        assert differ(features, np.roll(features, 1, 0)).all()
        assert 0.1 < np.std(features) < 10


def test_bfloat16_is_near_float32_and_comes_out_float32(params, encode_image, encode_text):
    config = dataclasses.replace(CONFIG, dtype="bfloat16")
    rough = clip(config, vocab_size=VOCAB, text_length=LENGTH)
    for near, exact in (
        (jax.jit(rough.encode_image)(params, X_T, T), encode_image(params, X_T, T)),
        (jax.jit(rough.encode_text)(params, TOKENS, MASK), encode_text(params, TOKENS, MASK)),
    ):
        assert near.dtype == jnp.float32
        error = jnp.linalg.norm(near - exact) / jnp.linalg.norm(exact)
        assert 1e-4 < error < 5e-2
    assert all(shape.dtype == jnp.float32 for shape in rough.shapes.values())


def test_images_of_another_size(model, params):
    with pytest.raises(ValueError, match="12, 12, 3"):
        model.encode_image(params, jnp.zeros((1, 16, 16, 3)), jnp.array([0]))
