"""The image guessed from a caption depends on it alone, and is learned to be its mean."""

import dataclasses
import functools

import imagen_toys
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from glide_jax.models.caption_guesser import caption_guesser
from glide_jax.models.glide import glide
from glide_jax.models.imagen import imagen
from glide_jax.training.objectives.text_pretraining import text_pretraining_loss
from glide_jax.types import Condition

pytestmark = pytest.mark.newest

GLIDE = tiny.experiment().first_stage.model
IMAGEN = dataclasses.replace(imagen_toys.CONFIG, text_layers=1, text_width=24)
SIZES = {"vocab_size": 10, "text_length": 6}
WORDS = jax.random.normal(jax.random.key(9), (10, IMAGEN.encoder_width))
"""A frozen encoder: a vector for each word."""


@pytest.fixture(scope="module", params=[GLIDE, IMAGEN], ids=["glide", "imagen"])
def model(request):
    return caption_guesser(request.param, hidden_width=8, **SIZES)


def init(model):
    return jax.jit(model.init)(jax.random.key(0))


def condition(model, tokens):
    tokens = jnp.asarray(tokens, jnp.int32)
    if model.config is GLIDE:
        return Condition(tokens=tokens, mask=jnp.ones(tokens.shape, bool))
    return Condition(text_embedding=WORDS[tokens], mask=tokens > 0)


def batch(images, captions):
    present = {name: x for name, x in vars(captions).items() if x is not None}
    return {"image": images, **present}


def test_what_reads_captions_is_the_models_own(model):
    build = functools.partial(glide, **SIZES) if model.config is GLIDE else imagen
    whole = build(model.config, learn_variance=False)
    text = {path: s for path, s in whole.shapes.items() if path.startswith("text.")}
    assert text
    assert {path: s for path, s in model.shapes.items() if path.startswith("text.")} == text


def test_each_guess_hears_every_word(model):
    params = {path: x + 0.1 for path, x in init(model).items()}
    asked = condition(model, [[1, 2, 3, 0, 0, 0], [4, 2, 3, 0, 0, 0], [1, 2, 5, 0, 0, 0]])
    guess = jax.jit(model.apply)(params, asked)
    assert guess.images.shape == (2, 3, 8, 8, 3)
    for image in guess.images:
        assert np.abs(image[1:] - image[:1]).max((1, 2, 3)).min() > 1e-4


def test_only_what_is_not_masked_is_read():
    model = caption_guesser(IMAGEN, hidden_width=8, **SIZES)
    params = {path: x + 0.1 for path, x in init(model).items()}
    asked = condition(model, [[1, 2, 3, 0, 0, 0]])
    other = dataclasses.replace(asked, text_embedding=asked.text_embedding.at[:, 3:].set(7.0))
    apply = jax.jit(model.apply)
    np.testing.assert_array_equal(apply(params, asked).images, apply(params, other).images)


def test_only_the_pooled_vector_learns_from_the_disagreement(model):
    """Held still, it can't agree; the tokens' own guess is left alone by how far it is off."""
    asked = condition(model, [[1, 2, 3, 0, 0, 0], [4, 2, 3, 0, 0, 0]])
    given = batch(jnp.zeros((2, 8, 8, 3)), asked)
    loss = text_pretraining_loss(model)

    def disagreement(params):
        return loss(params, given, jax.random.key(0))[1].means["disagreement"]

    gradients = jax.jit(jax.grad(disagreement))(init(model))
    moved = {path for path, g in gradients.items() if float(jnp.abs(g).max()) > 0}
    pooling = "text.pooled.kernel" if model.config is GLIDE else "text.pool.proj.kernel"
    assert {"of_pooled.kernel", pooling} <= moved
    assert not {"kv.kernel", "query.kernel", "hidden.kernel", "pixels.kernel"} & moved


@pytest.mark.slow
def test_both_guesses_learn_the_mean_of_a_captions_images(model):
    captions = condition(model, [[1, 2, 0, 0, 0, 0], [3, 2, 0, 0, 0, 0]] * 4)
    own = jnp.where(jnp.arange(8) % 2 == 0, 0.5, -0.5)[:, None, None, None]
    images = own + 0.2 * jax.random.normal(jax.random.key(2), (8, 8, 8, 3))
    given = batch(images, captions)
    optimizer, loss = optax.adam(3e-3), text_pretraining_loss(model)

    @jax.jit
    def step(params, state):
        grads = jax.grad(loss, has_aux=True)(params, given, jax.random.key(0))[0]
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state

    params = init(model)
    state = optimizer.init(params)
    for _ in range(250):
        params, state = step(params, state)
    value, aux = jax.jit(loss)(params, given, jax.random.key(0))
    np.testing.assert_allclose(value, aux.per_example_losses.mean(), rtol=1e-6)
    at_first = jax.jit(loss)(init(model), given, jax.random.key(0))[1].means
    assert aux.means["disagreement"] < 0.01 * at_first["disagreement"]
    np.testing.assert_allclose(aux.means["variance_of_pooled"], 1, atol=0.3)
    for guess in jax.jit(model.apply)(params, captions).images:
        for i in range(2):
            mean = images[i::2].mean(0)
            assert abs(float(guess[i].mean() - mean.mean())) < 0.05
            assert np.square(guess[i] - mean).mean() < 0.02
