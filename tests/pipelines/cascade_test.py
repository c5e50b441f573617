"""Stages put together: what a picture depends on, and what compiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from golden.load import HERE, load, nhwc

from glide_jax import config
from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import classifier_free, clip_x_0
from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import ddpm
from glide_jax.diffusion.schedule import kept_timesteps, make_schedule, squared_cosine_betas
from glide_jax.errors import UserError
from glide_jax.pipelines.cascade import draw_pictures, make_stage
from glide_jax.pipelines.drawing import plan
from glide_jax.training.loop import build_model
from glide_jax.types import Condition

END_OF_TEXT = 50256  # what GLIDE pads with
PROMPTS = ["red square", "green square", "blue square", "", "red square"]


def shaken(params):
    keys = jax.random.split(jax.random.key(1), len(params))
    return {
        path: value + 0.05 * jax.random.normal(key, value.shape)
        for (path, value), key in zip(params.items(), keys, strict=True)
    }


@pytest.fixture(scope="module")
def stages():
    loaded = config.load_config(
        tiny.CONFIGS / "quickstart.py", [*tiny.OVERRIDES, *tiny.UPSAMPLER_OVERRIDES]
    )
    experiment = config.experiment_from(loaded)
    made = []
    for stage in experiment.stages.values():
        model = build_model(stage, experiment, tiny.tokenizer())
        params = shaken(model.init(jax.random.key(0)))
        made.append(make_stage(stage, model, params, tiny.tokenizer(), experiment.text.length))
    return made


def test_every_stage_draws_at_its_size(stages):
    small, large = draw_pictures(stages, PROMPTS, seed=0)
    assert small.shape == (5, 8, 8, 3)
    assert large.shape == (5, 16, 16, 3)
    assert small.dtype == large.dtype == np.uint8
    assert small.std() > 10


def test_a_picture_depends_on_seed_place_and_prompt_alone(stages):
    """Five pictures in batches of 4 + 1, and the same ones in other company."""
    five = draw_pictures(stages, PROMPTS, seed=0)[-1]
    two = draw_pictures(stages, PROMPTS[:2], seed=0)[-1]
    np.testing.assert_allclose(five[:2].astype(int), two, atol=1)
    changed = [*PROMPTS[:4], "green square"]
    other = draw_pictures(stages, changed, seed=0)[-1]
    np.testing.assert_array_equal(five[:4], other[:4])
    assert (five[4] != other[4]).any()
    assert (five[0] != five[4]).any(), "the same prompt in another place is another picture"
    assert (draw_pictures(stages, PROMPTS, seed=1)[-1] != five).any()


def test_another_prompt_seed_or_scale_compiles_nothing(stages):
    draw = stages[0].draw
    draw_pictures(stages, PROMPTS[:4], seed=0, guidance_scale=3)
    before = draw._cache_size()
    draw_pictures(stages, PROMPTS[1:5], seed=0, guidance_scale=3)
    draw_pictures(stages, PROMPTS[:4], seed=5, guidance_scale=3)
    draw_pictures(stages, PROMPTS[:4], seed=0, guidance_scale=7.5)
    draw_pictures(stages, PROMPTS, seed=0, guidance_scale=2)
    assert draw._cache_size() == before


def test_guidance_of_one_is_the_conditional_model_at_half_the_work(stages):
    one = draw_pictures(stages[:1], PROMPTS[:4], seed=0, guidance_scale=1)[0].astype(int)
    nearly = draw_pictures(stages[:1], PROMPTS[:4], seed=0, guidance_scale=1 + 1e-6)[0]
    np.testing.assert_allclose(one, nearly, atol=1)
    assert (draw_pictures(stages[:1], PROMPTS[:4], seed=0, guidance_scale=5)[0] != one).any()


def test_the_text_is_encoded_outside_of_the_loop(stages):
    """The token table goes into the jitted call, but not into the scan; text keys do."""
    stage = stages[0]
    keys = jax.random.split(jax.random.key(0), 4)
    condition = Condition(jnp.zeros((4, 6), jnp.int32), jnp.zeros((4, 6), bool))
    jaxpr = jax.make_jaxpr(stage.draw)(stage.params, condition, None, keys, *[jnp.float32(1)] * 3)
    inner = jaxpr.eqns[0].params["jaxpr"].jaxpr
    scan = next(e for e in inner.eqns if e.primitive.name == "scan")
    shapes = [v.aval.shape for v in scan.invars]
    table = stage.params["text.token_embedding"].shape
    assert table in [v.aval.shape for v in inner.invars]
    assert table not in shapes
    assert any(len(shape) == 4 and shape[:2] == (4, 6) for shape in shapes)


def test_an_upsampler_alone_says_that_it_needs_a_picture(stages):
    with pytest.raises(UserError, match=r"upsampler: it needs a picture to enlarge, 8 pixels"):
        draw_pictures(stages[1:], PROMPTS, seed=0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("sampling.sampler=dimm",), "unknown sampler 'dimm': did you mean 'ddim'"),
        (("sampling.steps='5000'",), "5000"),
        (("sampling.steps=quick",), "quick"),
    ],
)
def test_steps_that_can_t_be_taken_are_refused(overrides, message):
    experiment = tiny.experiment(*overrides)
    with pytest.raises(UserError, match=message):
        plan(experiment.diffusion, experiment.sampling)


def test_guided_text_to_image_is_the_references():
    """GLIDE's whole job: encode, guide, respace, sample, on formula weights."""
    golden = np.load(HERE / "text2im_tiny.npz")
    _, _, model, params = load("tiny_base")
    tokens, mask = jnp.asarray(golden["tokens"], jnp.int32), jnp.asarray(golden["mask"])
    betas = squared_cosine_betas(1000)
    whole = make_schedule(betas)
    taken = make_schedule(betas, kept_timesteps(str(golden["respacing"]), 1000))
    x_T = nhwc(golden["x_T"])
    null = jnp.full_like(tokens, END_OF_TEXT)
    captions = Condition(
        tokens=jnp.concatenate([tokens, null]), mask=jnp.concatenate([mask, jnp.zeros_like(mask)])
    )

    @jax.jit
    def draw(params, noise):
        encoded = model.encode(params, captions)
        denoiser = denoiser_from(lambda x_t, t: model.apply(params, x_t, t, encoded), whole, "eps")
        denoiser = clip_x_0(classifier_free(denoiser, float(golden["guidance_scale"])), whole)
        return sample(ddpm(), denoiser, taken, x_T, noise=noise)

    x_0 = draw(params, nhwc(golden["noise"]))
    np.testing.assert_allclose(x_0, nhwc(golden["x_0"]), atol=1e-3)
