"""A stage's program: what is in its loop, and what makes another program of it."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from pipelines import pipeline_toys

from glide_jax.models import cpu_conv
from glide_jax.pipelines.inputs import Inputs, Towards, Way
from glide_jax.pipelines.pipeline import Pipeline
from glide_jax.pipelines.stage import make_stage
from glide_jax.types import Condition

PICTURE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


def flops(jaxpr):
    """Multiplications and additions of matrix products and convolutions."""
    total = 0
    for equation in jaxpr.eqns:
        shapes = [v.aval.shape for v in equation.invars]
        out = np.prod(equation.outvars[0].aval.shape)
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += 2 * out * np.prod([shapes[0][axis] for axis in contracted])
        if equation.primitive.name == "conv_general_dilated":
            total += 2 * out * np.prod(shapes[1]) / shapes[1][-1]
        total += sum(map(flops, jaxprs_in_params(equation.params)))
    return total


def loops(jaxpr):
    """The bodies of the scans in it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation.params["jaxpr"].jaxpr
        else:
            for inner in jaxprs_in_params(equation.params):
                yield from loops(inner)


def condition(rows):
    return Condition(jnp.zeros((rows, 6), jnp.int32), jnp.zeros((rows, 6), bool))


def guided(b):
    """What b pictures are drawn from, guided."""
    return Inputs(
        seed_key=jax.random.key(0),
        indices=jnp.arange(b),
        condition=condition(b),
        towards=Towards(condition(1), jnp.ones(b), None),
        quantile=None,
        eta=jnp.float32(0),
        temperature=jnp.float32(1),
        low_res_noise=jnp.float32(0),
        known=None,
        begin=None,
        log_probabilities=(),
    )


def test_the_loop_is_the_model_and_no_more():
    """Text and its keys are computed outside of it, and the null caption's once for all."""
    stage, b = pipeline_toys.stages()[0], 4
    model, params, inputs = stage.model, stage.params, guided(4)
    program = stage.draw(Way("ddim", "3", None, None)).whole
    whole = jax.make_jaxpr(program)(params, inputs).jaxpr
    (body,) = loops(whole)

    def encoding(rows):
        return flops(jax.make_jaxpr(model.encode)(params, condition(rows)).jaxpr)

    x_t, t = jnp.zeros((2 * b, 8, 8, 3)), jnp.zeros(2 * b, jnp.int32)
    encoded = jax.eval_shape(model.encode, params, condition(2 * b))
    once = flops(jax.make_jaxpr(model.apply)(params, x_t, t, encoded).jaxpr)
    assert once > 0
    assert flops(body) == once
    assert flops(whole) - flops(body) == encoding(b) + encoding(1)


def test_who_watches_has_kernels_spread_out_once(monkeypatch):
    monkeypatch.setattr(cpu_conv, "way", lambda *_: cpu_conv.winograd)
    stage = pipeline_toys.stages()[0]
    program = stage.draw(Way("ddim", "4", None, None))
    seen = []
    drawn = program(stage.params, guided(2), lambda _, x_0_hat: seen.append(x_0_hat))
    begun, carry = program.begin(stage.params, guided(2))
    convolutions = {path.rpartition(".kernel")[0] for path in begun.prepared}
    assert convolutions
    # The kernels themselves are looked at no more.
    no_numbers = {f"{path}.kernel": jnp.full((3, 3, 1, 1), jnp.nan) for path in convolutions}
    lost = {p: x * no_numbers.get(p, 1) for p, x in stage.params.items()}
    for i in range(3, -1, -1):
        carry, x_0_hat = program.advance(lost, begun, carry, jnp.int32(i))
        np.testing.assert_array_equal(x_0_hat, seen[3 - i])
    np.testing.assert_array_equal(program.finish(carry[0]), drawn)


@pytest.fixture
def counted():
    """A base model's pipeline, and what counts how often it was traced."""
    (stage, *_), traces = pipeline_toys.stages(), itertools.count()

    def encode(params, condition):
        next(traces)
        return stage.model.encode(params, condition)

    model = dataclasses.replace(stage.model, encode=encode)
    made = make_stage(
        stage.config, model, stage.params, stage.tokenizer, stage.text_length, stage.step
    )
    return Pipeline((made,)), lambda: int(repr(traces)[6:-1])


def test_another_prompt_seed_or_number_compiles_nothing(counted):
    pipe, traces = counted
    first = pipe(["red square"] * 4, seed=0, guidance_scale=3, eta=0.1)
    before = traces()
    for changed in (
        {"prompt": ["blue square"] * 4},
        {"prompt": ["red square", "", "a", "green square, a long caption that is cut"]},
        {"seed": 5},
        {"guidance_scale": 7.5},
        {"guidance_scale": [1, 2, 3, 4]},
        {"negative_prompt": "green square"},
        {"eta": 1.0},
        {"temperature": 0.9},
    ):
        asked = {"prompt": ["red square"] * 4, "seed": 0, "guidance_scale": 3, "eta": 0.1}
        drawn = pipe(**(asked | changed))
        assert (drawn.arrays != first.arrays).any(), changed
    pipe(["red square"] * 7, guidance_scale=3, eta=0.1)
    assert traces() == before


def test_another_threshold_interval_or_listener_compiles_nothing(counted):
    pipe, traces = counted
    seen = []
    asked = {"dynamic_threshold": 0.5, "guidance_interval": (0.0, 1.0)}
    first = pipe("red square", on_step=seen.append, **asked)
    before = traces()
    assert [step.step for step in seen] == [1, 2, 3]
    again, steps = pipe("red square", on_step=lambda step: None, **asked), len(seen)
    assert len(seen) == steps
    np.testing.assert_array_equal(again.arrays, first.arrays)
    for changed in ({"dynamic_threshold": 0.9}, {"guidance_interval": (0.4, 0.6)}):
        drawn = pipe("red square", on_step=seen.append, **(asked | changed))
        assert (drawn.arrays != first.arrays).any(), changed
    assert traces() == before


def test_another_noise_on_the_low_res_picture_compiles_nothing():
    """It is other noise for each picture, and what is told of it leads elsewhere as well."""
    told = pipeline_toys.stages("upsampler.model.low_res_noise_told=True")[1:]
    untold, traces = pipeline_toys.stages()[1:], itertools.count()

    def drawn(stages, level, seed=0):
        pipe = Pipeline(stages)
        return pipe.upsample(PICTURE, "red square", num_images=2, seed=seed, low_res_noise=level)

    def encode(params, condition):
        next(traces)
        return told[0].model.encode(params, condition)

    stage = told[0]
    model = dataclasses.replace(stage.model, encode=encode)
    rest = stage.tokenizer, stage.text_length, stage.step
    counted = (make_stage(stage.config, model, stage.params, *rest),)
    first = drawn(counted, 0.0).arrays
    before = int(repr(traces)[6:-1])
    for level in (0.1, 0.4):
        assert (drawn(counted, level).arrays != first).any(), level
    assert int(repr(traces)[6:-1]) == before
    # The config's own is none.
    plain = Pipeline(untold).upsample(PICTURE, "red square", num_images=2).arrays
    np.testing.assert_array_equal(drawn(untold, 0.0).arrays, plain)
    assert (drawn(untold, 0.4).arrays != plain).any()


def test_who_watches_sees_the_same_picture_become(counted):
    pipe, _ = counted
    seen = []
    for asked in ({"sampler": "plms"}, {"sampler": "ddpm", "guidance_interval": (0.2, 0.8)}):
        watched = pipe("red square", on_step=seen.append, **asked).arrays.astype(int)
        np.testing.assert_allclose(watched, pipe("red square", **asked).arrays, atol=1)
    x_0_hat = np.round((np.clip(seen[-1].pictures, -1, 1) + 1) * 127.5)
    np.testing.assert_allclose(x_0_hat, watched, atol=1)


def test_another_strength_compiles_nothing(counted):
    """Of the picture that it begins from, strength 1 leaves nothing, less leaves something."""
    pipe, traces = counted

    def drawn(picture, strength):
        asked = {"strength": strength, "guidance_scale": 1}
        return pipe.image_to_image(picture, "red square", **asked).arrays.astype(int)

    some = drawn(PICTURE, 0.4)
    before = traces()
    assert np.abs(some - drawn(255 - PICTURE, 0.4)).max() > 20
    np.testing.assert_allclose(drawn(PICTURE, 1), drawn(255 - PICTURE, 1), atol=1)
    assert traces() == before


def test_another_mask_compiles_nothing(counted):
    pipe, traces = counted
    before = None
    for columns in (slice(0, 4), slice(2, 3)):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, columns] = 255
        drawn = pipe.inpaint(PICTURE, mask, "red square", resamples=2, guidance_scale=1)
        kept = mask == 0
        np.testing.assert_array_equal(drawn.arrays[0][kept], PICTURE[kept])
        assert (drawn.arrays[0][~kept] != PICTURE[~kept]).any()
        assert traces() == (before or traces())
        before = traces()
