"""A stage's program: what is in its loop, and what makes another program of it."""

import dataclasses
import gc
import itertools
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxprs import jaxprs_in_params
from sampling import pipeline_toys

from glide_jax.models.cpu import convolution
from glide_jax.sampling import program
from glide_jax.sampling.denoising import CachingArguments
from glide_jax.sampling.guidance import GuidanceInputs, transforms_of
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import CHUNK, SampleArguments, StaticArguments
from glide_jax.sampling.stages import make_stage
from glide_jax.types import Condition

IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


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


def guided(stage, b, caching=None, **settings):
    """The arguments of b guided images."""
    sampling = dataclasses.replace(stage.config.sampling, **settings)
    inputs = GuidanceInputs(sampling, 3 * jnp.ones(b), None, ())
    return SampleArguments(
        seed_key=jax.random.key(0),
        indices=jnp.arange(b),
        condition=condition(b),
        null_condition=condition(1),
        guidance=transforms_of(inputs),
        eta=jnp.float32(0),
        temperature=jnp.float32(1),
        aug_level=jnp.float32(0),
        known=None,
        initial=None,
        caching=caching,
    )


def static(steps, sampler="ddim"):
    return StaticArguments(sampler, steps, None, None)


def kept_for(interval, guidance_interval=None):
    """The arguments of deep features that are kept."""
    return CachingArguments(jnp.int32(interval), guidance_interval)


@pytest.mark.newest
def test_the_loop_is_the_model_and_no_more():
    """Text and its keys are computed outside of it, and the null caption's once for all."""
    stage, b = pipeline_toys.stages()[0], 4
    model, params, arguments = stage.model, stage.params, guided(stage, 4)
    program = stage.program(static("3"))
    begin = jax.make_jaxpr(program.begin)(params, arguments).jaxpr
    started = jax.eval_shape(program.begin, params, arguments)
    chunk = (params, *started, jnp.int32(2), jnp.int32(3))
    advance = jax.make_jaxpr(program.advance)(*chunk).jaxpr
    (body,) = loops(advance)

    def encoding(rows):
        return flops(jax.make_jaxpr(model.encode)(params, condition(rows)).jaxpr)

    x_t, t = jnp.zeros((2 * b, 8, 8, 3)), jnp.zeros(2 * b, jnp.int32)
    encoded = jax.eval_shape(model.encode, params, condition(2 * b))
    once = flops(jax.make_jaxpr(model.apply)(params, x_t, t, encoded).jaxpr)
    assert once > 0
    assert flops(body) == once
    assert flops(advance) == flops(body)
    assert flops(begin) == encoding(b) + encoding(1)


def test_kept_features_leave_the_deep_part_out_of_the_step():
    """It is in the loop once, in a branch of its own; what is always run is the shallow part."""
    stage, b = pipeline_toys.stages()[0], 2
    model, params, arguments = stage.model, stage.params, guided(stage, b, kept_for(3))
    program = stage.program(static("3"))
    started = jax.eval_shape(program.begin, params, arguments)
    chunk = (params, *started, jnp.int32(2), jnp.int32(3))
    (body,) = loops(jax.make_jaxpr(program.advance)(*chunk).jaxpr)
    encoded = jax.eval_shape(model.encode, params, condition(2 * b))
    inputs = params, jnp.zeros((2 * b, 8, 8, 3)), jnp.zeros(2 * b, jnp.int32), encoded
    features = jax.eval_shape(model.caching.deep_features, *inputs)
    deep = flops(jax.make_jaxpr(model.caching.deep_features)(*inputs).jaxpr)
    shallow = flops(jax.make_jaxpr(model.caching.apply_with)(*inputs, features).jaxpr)
    assert flops(body) == deep + shallow


@pytest.mark.slow
@pytest.mark.parametrize("guidance_interval", [(0.0, 1.0), (0.2, 0.6)])
def test_where_features_are_computed_at_every_step_nothing_changes(guidance_interval):
    stage = pipeline_toys.stages()[0]
    program, settings = stage.program(static("4")), {"guidance_interval": guidance_interval}
    plain = program(stage.params, guided(stage, 2, **settings)).astype(int)
    partly = jnp.float32(guidance_interval) if guidance_interval != (0, 1) else None
    for interval in (1, 3):
        arguments = guided(stage, 2, kept_for(interval, partly), **settings)
        difference = np.abs(program(stage.params, arguments) - plain).max()
        assert (difference > 1) == (interval > 1)


@pytest.mark.newest
def test_kernels_are_transformed_once_before_the_loop(monkeypatch):
    monkeypatch.setattr(convolution, "method", lambda *_: convolution.winograd)
    stage = pipeline_toys.stages()[0]
    program = stage.program(static("2"))  # that no other test has traced
    arguments = guided(stage, 2)
    images = program(stage.params, arguments)
    constants, carry = program.begin(stage.params, arguments)
    convolutions = {path.rpartition(".kernel")[0] for path in constants.prepared}
    assert convolutions
    # The kernels themselves are not read any more.
    no_numbers = {f"{path}.kernel": jnp.full((3, 3, 1, 1), jnp.nan) for path in convolutions}
    lost = {p: x * no_numbers.get(p, 1) for p, x in stage.params.items()}
    carry = program.advance(lost, constants, carry, jnp.int32(1), jnp.int32(2))
    np.testing.assert_array_equal(program.finish(carry.x_t), images)


@pytest.mark.newest
@pytest.mark.parametrize(
    ("sampler", "steps", "caching"),
    [
        ("ddim", "4", None),
        ("ddpm", f"{2 * CHUNK + 3}", None),
        ("ddim", f"{CHUNK + 3}", kept_for(3)),
    ],
    ids=["4", "more than a chunk", "with kept features"],
)
def test_looking_changes_no_bit_and_compiles_nothing(sampler, steps, caching):
    """One program, however often somebody looks, whether or not chunks divide the steps."""
    stage = pipeline_toys.stages()[0]
    program, arguments = stage.program(static(steps, sampler)), guided(stage, 2, caching)
    unwatched, total = program(stage.params, arguments), int(steps)
    compiled = program.advance._cache_size()
    for every in (1, 3, CHUNK, 2 * CHUNK, total, 10 * total):
        seen = []
        report = lambda *progress: seen.append(progress)  # noqa: B023, E731
        watched = program(stage.params, arguments, report, every)
        np.testing.assert_array_equal(watched, unwatched)
        assert [step for step, *_ in seen] == [*range(every, total, every), total]
        assert {num_steps for _, num_steps, _ in seen} == {total}
        last = np.round((np.clip(seen[-1][2], -1, 1) + 1) * 127.5)
        np.testing.assert_allclose(last, watched, atol=1)
    assert program.advance._cache_size() == compiled


@pytest.fixture
def counted():
    """A base model's pipeline, and what counts how often it was traced."""
    (stage, *_), traces = pipeline_toys.stages(), itertools.count()

    def encode(params, condition):
        next(traces)
        return stage.model.encode(params, condition)

    model = dataclasses.replace(stage.model, encode=encode)
    made = make_stage(stage.name, stage.config, model, stage.params, stage.reader, stage.step)
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
        output = pipe(**(asked | changed))
        assert (output.arrays != first.arrays).any(), changed
    pipe(["red square"] * 7, guidance_scale=3, eta=0.1)
    assert traces() == before


@pytest.mark.newest
def test_another_threshold_interval_or_callback_compiles_nothing(counted):
    pipe, traces = counted
    seen = []
    asked = {"dynamic_threshold": 0.9, "guidance_interval": (0.0, 0.9), "cache_interval": 2}
    first = pipe("red square", on_progress=seen.append, **asked)
    before = traces()
    assert [step.step for step in seen] == [1, 2, 3]
    again, steps = pipe("red square", on_progress=lambda step: None, **asked), len(seen)
    assert len(seen) == steps
    np.testing.assert_array_equal(again.arrays, first.arrays)
    for changed in (
        {"dynamic_threshold": 0.5},
        {"threshold_cap": 1.0},
        {"guidance_interval": (0.4, 0.6)},
        {"cache_interval": 3},
    ):
        output = pipe("red square", on_progress=seen.append, **(asked | changed))
        assert (output.arrays != first.arrays).any(), changed
    assert traces() == before


@pytest.mark.newest
def test_another_noise_on_the_low_res_image_compiles_nothing():
    """Each image has other noise, and a model conditioned on its level uses that as well."""
    conditioned = pipeline_toys.stages("stages.upsampler.model.aug_level_conditioning=True")[1:]
    plain_model, traces = pipeline_toys.stages()[1:], itertools.count()

    def output(stages, level, seed=0):
        pipe = Pipeline(stages)
        return pipe.upsample(IMAGE, "red square", num_images=2, seed=seed, aug_level=level)

    def encode(params, condition):
        next(traces)
        return conditioned[0].model.encode(params, condition)

    stage = conditioned[0]
    model = dataclasses.replace(stage.model, encode=encode)
    rest = stage.reader, stage.step
    counted = (make_stage(stage.name, stage.config, model, stage.params, *rest),)
    first = output(counted, 0.0).arrays
    before = int(repr(traces)[6:-1])
    for level in (0.1, 0.4):
        assert (output(counted, level).arrays != first).any(), level
    assert int(repr(traces)[6:-1]) == before
    # The config's own is none.
    plain = Pipeline(plain_model).upsample(IMAGE, "red square", num_images=2).arrays
    np.testing.assert_array_equal(output(plain_model, 0.0).arrays, plain)
    assert (output(plain_model, 0.4).arrays != plain).any()


@pytest.mark.newest
def test_progress_shows_the_same_image_form(counted):
    pipe, _ = counted
    seen, asked = [], {"sampler": "plms", "guidance_interval": (0.2, 0.8)}
    watched = pipe("red square", on_progress=seen.append, **asked).arrays
    np.testing.assert_array_equal(watched, pipe("red square", **asked).arrays)
    x_0_hat = np.round((np.clip(seen[-1].x_0_hat, -1, 1) + 1) * 127.5)
    np.testing.assert_allclose(x_0_hat, watched.astype(int), atol=1)


@pytest.mark.newest
def test_another_strength_compiles_nothing(counted):
    """Of the image that it begins from, strength 1 leaves nothing, less leaves something."""
    pipe, traces = counted

    def output(image, strength):
        asked = {"strength": strength, "guidance_scale": 1}
        return pipe.image_to_image(image, "red square", **asked).arrays.astype(int)

    some = output(IMAGE, 0.4)
    before = traces()
    assert np.abs(some - output(255 - IMAGE, 0.4)).max() > 20
    np.testing.assert_allclose(output(IMAGE, 1), output(255 - IMAGE, 1), atol=1)
    assert traces() == before


@pytest.mark.newest
def test_another_mask_compiles_nothing(counted):
    pipe, traces = counted
    before = None
    for columns in (slice(0, 4), slice(2, 3)):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, columns] = 255
        output = pipe.inpaint(IMAGE, mask, "red square", resamples=2, guidance_scale=1)
        kept = mask == 0
        np.testing.assert_array_equal(output.arrays[0][kept], IMAGE[kept])
        assert (output.arrays[0][~kept] != IMAGE[~kept]).any()
        assert traces() == (before or traces())
        before = traces()


@pytest.mark.newest
def test_programs_that_were_not_used_for_longest_are_forgotten(monkeypatch):
    monkeypatch.setattr(program, "MAX_PROGRAMS", 2)
    gc.freeze()  # what was there before need not be gone through
    stage = pipeline_toys.stages()[0]
    cache = program.program_cache(stage.model, stage.config.diffusion)
    first, second = cache(static("1")), cache(static("2"))
    assert cache(static("1")) is first
    gone = weakref.ref(second)
    del second
    cache(static("3"))
    gc.collect()
    gc.unfreeze()
    assert gone() is None
    assert cache(static("1")) is first
