"""A model's two parts, of every family and layout: deep features, and what is around them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from imagen_toys import CONFIG, EFFICIENT
from model_toys import filled
from sampling import pipeline_toys

from glide_jax.models.cpu import convolution
from glide_jax.models.imagen import imagen
from glide_jax.planning.flops import product_flops
from glide_jax.types import Condition

RNG = np.random.default_rng(2)
T, OTHER_T = np.array([30, 900], np.int32), np.array([60, 930], np.int32)
CAPTIONS = {"tokens": np.array([[5, 6, 7, 0, 0, 0], [9, 8, 1, 2, 0, 0]], np.int32)}
CAPTIONS |= {"mask": CAPTIONS["tokens"] > 0}
TEXT = {"text_embedding": RNG.standard_normal((2, 5, 24)).astype(np.float32)}
TEXT |= {"mask": np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)}
ATTENDING = (
    tiny.TWO_SIZES,
    "stages.base.model.attention_resolutions=(8,4)",
    "stages.base.model.inpaint=True",
)
"""At the first level too, where the shallow part attends to the caption."""


def noise(size):
    return RNG.standard_normal((2, size, size, 3)).astype(np.float32)


def of_glide():
    stage = pipeline_toys.stages(*ATTENDING)[0]
    known = {"inpaint_image": noise(8), "inpaint_mask": np.ones((2, 8, 8, 1), np.float32)}
    return stage.model, stage.params, Condition(**CAPTIONS, **known)


def of_a_glide_upsampler():
    stage = pipeline_toys.stages()[1]
    return stage.model, stage.params, Condition(**CAPTIONS, low_res=noise(8))


def of_adm():
    stage = pipeline_toys.class_stage()
    return stage.model, stage.params, Condition(label=np.array([0, 2], np.int32))


def of_imagen(**changes):
    model = imagen(dataclasses.replace(CONFIG, **changes), learn_variance=True)
    return model, filled(model.shapes), Condition(**TEXT)


THREE_LEVELS = {"channel_mult": (1, 2, 2), "attention_resolutions": (2,)}
ONE_LEVEL = {"channel_mult": (1,), "attention_resolutions": (), "self_attention_resolutions": ()}
MODELS = {
    "glide": of_glide,
    "glide upsampler": of_a_glide_upsampler,
    "adm": of_adm,
    "imagen": of_imagen,
    "efficient": lambda: of_imagen(**EFFICIENT | THREE_LEVELS),
    "efficient, in 16 bits": lambda: of_imagen(**EFFICIENT, dtype="bfloat16"),
    "one level": lambda: of_imagen(**ONE_LEVEL),
    "one level, efficient": lambda: of_imagen(**EFFICIENT | ONE_LEVEL),
}


@functools.cache
def built(name):
    """(model, weights, encoded condition, x_t)."""
    model, params, condition = MODELS[name]()
    return model, params, compiled(model.encode)(params, condition), noise(model.config.image_size)


def compiled(function):
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def lost_if(lost, x):
    return x * jnp.nan if lost else x


@pytest.mark.newest
@pytest.mark.parametrize(
    "name",
    [
        *("glide", "adm", "imagen", "efficient"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(MODELS)[5:]),
        pytest.param("glide upsampler", marks=pytest.mark.slow),
    ],
)
def test_the_parts_together_are_the_model(name):
    model, params, encoded, x_t = built(name)

    @compiled
    def run(params):
        whole = model.apply(params, x_t, T, encoded)
        features = model.caching.deep_features(params, x_t, T, encoded)
        other = model.caching.deep_features(params, -x_t, OTHER_T, encoded)
        # Nothing of the deep part is read around its features.
        lost = {path: lost_if(".middle_block." in path, x) for path, x in params.items()}
        with_features = lambda f: model.caching.apply_with(lost, x_t, T, encoded, f)  # noqa: E731
        return whole, with_features(features), with_features(other)

    whole, same, with_other = run(params)
    scale = np.abs(whole).max()
    rounding = 0.03 if model.config.dtype == "bfloat16" else 1e-4
    np.testing.assert_allclose(same, whole, atol=rounding * scale)
    assert np.abs(with_other - whole).max() > 0.02 * scale, "features decide a part of it"
    assert np.isfinite(with_other).all()


@pytest.mark.parametrize("name", MODELS)
def test_each_block_is_in_one_part_but_for_the_way_down(name):
    """The parts' operations are the model's, and once more those that both need."""
    model, params, encoded, x_t = built(name)
    features = jax.eval_shape(model.caching.deep_features, params, x_t, T, encoded)

    def flops(function, *more):
        return product_flops(jax.jit(function).trace(params, x_t, T, encoded, *more).jaxpr)

    whole = flops(model.apply)
    deep = flops(model.caching.deep_features)
    shallow = flops(model.caching.apply_with, features)
    assert max(deep, shallow) < whole <= deep + shallow
    assert features.dtype == model.config.dtype


def test_prepared_weights_are_for_both_parts(monkeypatch):
    monkeypatch.setattr(convolution, "method", lambda *_: convolution.winograd)
    model, params, encoded, x_t = built("glide upsampler")

    @compiled
    def run(params):
        prepared = params | model.prepare(params, x_t, T, encoded)
        taken = {path.rpartition(".kernel")[0] for path in prepared if "winograd" in path}
        assert len({path.split(".")[1] for path in taken}) > 2, "of both parts"
        # The kernels themselves are not read any more.
        lost = {
            path: lost_if(path.removesuffix(".kernel") in taken, x) for path, x in prepared.items()
        }
        features = model.caching.deep_features(lost, x_t, T, encoded)
        found = model.caching.apply_with(lost, x_t, T, encoded, features)
        return found, model.apply(params, x_t, T, encoded)

    found, whole = run(params)
    np.testing.assert_allclose(found, whole, atol=1e-3 * np.abs(whole).max())
