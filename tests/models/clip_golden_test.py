"""CLIP computes what the public reference computes, on weights that a formula makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.load import HERE, SHARED, load, nhwc

from glide_jax.interop.checkpoint_source import CLIP_LOGIT_SCALE
from glide_jax.models.clip import similarity


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def check(prefix, folder):
    golden = np.load(folder / f"{prefix}clip.npz")
    image_manifest, _, image, image_params = load(f"{prefix}clip_image", folder)
    text_manifest, _, text, text_params = load(f"{prefix}clip_text", folder)
    for manifest, params in ((image_manifest, image_params), (text_manifest, text_params)):
        assert sum(p.size for p in params.values()) == manifest["parameters"]
    x_t, t = nhwc(golden["x"]), jnp.asarray(golden["t"], jnp.int32)
    tokens = jnp.asarray(golden["tokens"], jnp.int32)
    mask = jnp.arange(tokens.shape[1])[None] < golden["text_len"][:, None]

    text_features = jax.jit(text.apply)(text_params, tokens, mask)
    assert relative_error(text_features, golden["text_features"]) < 2e-4

    def logits(x_t):
        features = image.apply(image_params, x_t, t)
        cosine = similarity(text_features, features)
        return CLIP_LOGIT_SCALE * cosine.sum(), (features, cosine)

    gradient, (image_features, cosine) = jax.jit(jax.grad(logits, has_aux=True))(x_t)
    assert relative_error(image_features, golden["image_features"]) < 2e-4
    assert relative_error(cosine, golden["similarity"]) < 2e-4
    assert relative_error(gradient, nhwc(golden["guidance_gradient"])) < 2e-4


@pytest.mark.newest
def test_features_and_gradient_are_the_references():
    check("tiny_", HERE)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the figures of released size are not here")
def test_features_and_gradient_are_the_references_at_released_size():
    check("", SHARED)
