"""An Imagen upsampler's compiled program, from text embeddings that are given."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from models.imagen_toys import CONFIG, EFFICIENT
from models.model_toys import filled

from glide_jax.models.imagen import imagen
from glide_jax.sampling.guidance import GuidanceInputs, transforms_of
from glide_jax.sampling.program import SampleArguments, StaticArguments, program_cache
from glide_jax.types import Condition

RNG = np.random.default_rng(0)
TEXT = RNG.standard_normal((3, 5, 24)).astype(np.float32)
MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], bool)
LOW_RES = RNG.uniform(-1, 1, (3, 4, 4, 3)).astype(np.float32)
SAMPLING = tiny.experiment().stages["base"].sampling
DIFFUSION = tiny.experiment().stages["base"].diffusion
UPSAMPLER = dataclasses.replace(
    CONFIG, low_res_size=4, aug_level_conditioning=True, enlargement="align_corners"
)


@functools.cache
def program():
    """(program, weights, how often the model's condition was traced)."""
    model = imagen(UPSAMPLER, learn_variance=DIFFUSION.learn_variance)
    traces = []

    def encode(params, condition):
        traces.append(condition)
        return model.encode(params, condition)

    cache = program_cache(dataclasses.replace(model, encode=encode), DIFFUSION)
    return cache(StaticArguments("ddpm", "3", None, None)), filled(model.shapes), traces


def images(text=TEXT, mask=MASK, level=0.2, low_res=LOW_RES, **settings):
    compiled, params, _ = program()
    sampling = dataclasses.replace(SAMPLING, dynamic_threshold=0.95, **settings)
    guidance = GuidanceInputs(sampling, jnp.full(3, 3.0), None, ())
    arguments = SampleArguments(
        seed_key=jax.random.key(0),
        indices=jnp.arange(3),
        condition=Condition(
            text_embedding=jnp.asarray(text),
            mask=jnp.asarray(mask),
            low_res=jnp.asarray(low_res),
        ),
        null_condition=Condition(text_embedding=jnp.zeros((1, 5, 24)), mask=jnp.asarray(MASK[2:])),
        guidance=transforms_of(guidance),
        eta=jnp.float32(0),
        temperature=jnp.float32(1),
        aug_level=jnp.asarray(level, jnp.float32),
        known=None,
        initial=None,
        caching=None,
    )
    return compiled(params, arguments).astype(int)


def changed(a, b):
    """Which images are not the same."""
    return (np.abs(a - b).max(axis=(1, 2, 3)) > 2).tolist()


def test_an_image_depends_on_its_text_its_low_res_image_and_its_level():
    out, second = images(), np.array([0, 1, 0], np.float32)[:, None, None]
    assert out.shape == (3, 8, 8, 3)
    assert changed(out, images(text=TEXT + second)) == [False, True, False]
    low_res = LOW_RES * (1 - 2 * second[..., None])
    assert changed(out, images(low_res=low_res)) == [False, True, False]
    each = images(level=[0.2, 0.2, 0.2])
    assert changed(out, each) == [False] * 3
    assert changed(each, images(level=[0.2, 0.8, 0.2])) == [False, True, False]


def test_padding_is_seen_by_neither_half_of_a_guided_batch():
    hidden = np.where(MASK[..., None], TEXT, np.float32(50))
    assert changed(images(), images(text=hidden)) == [False] * 3


def test_another_text_level_or_threshold_compiles_nothing():
    out = images()
    before = len(program()[2])
    for other in (
        images(text=TEXT[::-1].copy(), mask=MASK[::-1]),
        images(level=0.7),
        images(threshold_cap=1.0),
        images(threshold_cap=1.5),
    ):
        assert any(changed(out, other))
    assert len(program()[2]) == before


def temporaries(tokens, steps, images=1):
    """Bytes that the steps of an Efficient U-Net take beside its weights and arguments."""
    sizes = {"image_size": 32, "low_res_size": 8, "attention_resolutions": (8,)}
    config = dataclasses.replace(UPSAMPLER, **EFFICIENT | sizes)
    model = imagen(config, learn_variance=DIFFUSION.learn_variance)
    built = program_cache(model, DIFFUSION)(StaticArguments("ddpm", steps, None, None))

    def condition(rows, low_res):
        return Condition(
            text_embedding=jnp.zeros((rows, tokens, 24), jnp.bfloat16),
            mask=jnp.ones((rows, tokens), bool),
            low_res=low_res,
        )

    def arguments():
        guidance = GuidanceInputs(SAMPLING, jnp.full(images, 3.0), None, ())
        return SampleArguments(
            seed_key=jax.random.key(0),
            indices=jnp.arange(images),
            condition=condition(images, jnp.zeros((images, 8, 8, 3))),
            null_condition=condition(1, None),
            guidance=transforms_of(guidance),
            eta=jnp.float32(0),
            temperature=jnp.float32(1),
            aug_level=jnp.float32(0.1),
            known=None,
            initial=None,
            caching=None,
        )

    constants, carry = jax.eval_shape(built.begin, model.shapes, jax.eval_shape(arguments))
    index = jax.ShapeDtypeStruct((), jnp.int32)
    lowered = built.advance.lower(model.shapes, constants, carry, index, index)
    compiled = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_memory_grows_with_the_images_at_once_and_with_nothing_else():
    one = temporaries(tokens=4, steps="16")
    assert temporaries(tokens=8, steps="500") < 1.1 * one
    assert temporaries(tokens=4, steps="16", images=2) > 1.5 * one
