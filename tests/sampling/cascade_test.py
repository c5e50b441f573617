"""Stages put together: what an image depends on, and what compiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from golden.load import HERE, load, nhwc
from PIL import Image
from sampling import pipeline_toys
from sampling.pipeline_toys import PROMPTS

from glide_jax.diffusion.gaussian import denoiser_from
from glide_jax.diffusion.guidance import classifier_free, clip_x_0
from glide_jax.diffusion.sample import sample
from glide_jax.diffusion.samplers import ddpm
from glide_jax.diffusion.schedule import kept_timesteps, make_schedule, squared_cosine_betas
from glide_jax.errors import UserError
from glide_jax.sampling.output import read_provenance
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.program import make_steps
from glide_jax.types import Condition

END_OF_TEXT = 50256  # what GLIDE pads with


@pytest.fixture(scope="module")
def stages():
    return pipeline_toys.stages()


@pytest.fixture(scope="module")
def sample_images(stages):
    """(prompts, …) → uint8[n 16 16 3]."""
    pipe = Pipeline(stages)
    return lambda *asked, **settings: pipe(*asked, **settings).arrays


@pytest.mark.newest
def test_every_stage_samples_at_its_size(stages):
    small, large = Pipeline(stages)(PROMPTS).stages
    assert small.shape == (5, 8, 8, 3)
    assert large.shape == (5, 16, 16, 3)
    assert small.dtype == large.dtype == np.uint8
    assert small.std() > 10


@pytest.mark.newest
def test_an_image_depends_on_seed_place_and_prompt_alone(sample_images):
    """Five images in batches of 4 + 1, and the same ones in other company."""
    five, two = sample_images(PROMPTS), sample_images(PROMPTS[:2])
    np.testing.assert_allclose(five[:2].astype(int), two, atol=1)
    other = sample_images([*PROMPTS[:4], "green square"])
    np.testing.assert_array_equal(five[:4], other[:4])
    assert (five[4] != other[4]).any()
    assert (five[0] != five[4]).any(), "the same prompt in another place is another image"
    assert (sample_images(PROMPTS, seed=1) != five).any()


@pytest.mark.newest
def test_guidance_of_one_is_the_conditional_model_at_half_the_work(stages):
    base = Pipeline(stages[:1])
    one = base(PROMPTS[:4], guidance_scale=1).arrays.astype(int)
    nearly = base(PROMPTS[:4], guidance_scale=1 + 1e-6).arrays
    np.testing.assert_allclose(one, nearly, atol=1)
    assert (base(PROMPTS[:4], guidance_scale=5).arrays != one).any()


def test_an_upsampler_alone_says_that_it_needs_an_image(stages):
    with pytest.raises(UserError, match=r"upsampler: it needs an image to enlarge, 8 pixels"):
        Pipeline(stages[1:])(PROMPTS)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("stages.base.sampling.sampler=dimm",), "unknown sampler 'dimm': did you mean 'ddim'"),
        (("stages.base.sampling.steps='5000'",), "5000"),
        (("stages.base.sampling.steps=quick",), "quick"),
    ],
)
def test_steps_that_can_t_be_taken_are_refused(overrides, message):
    experiment = tiny.experiment(*overrides)
    stage = experiment.first_stage
    with pytest.raises(UserError, match=message):
        make_steps(stage.diffusion, stage.sampling.sampler, stage.sampling.steps)


@pytest.mark.newest
def test_guided_text_to_image_is_the_references():
    """GLIDE's whole job: encode, guide, respace, sample, on formula weights."""
    golden = np.load(HERE / "text2im_tiny.npz")
    _, _, model, params = load("tiny_base")
    tokens, mask = jnp.asarray(golden["tokens"], jnp.int32), jnp.asarray(golden["mask"])
    betas = squared_cosine_betas(1000)
    whole = make_schedule(betas)
    taken = make_schedule(betas, kept_timesteps(str(golden["respacing"]), betas))
    x_T = nhwc(golden["x_T"])
    null = jnp.full_like(tokens, END_OF_TEXT)
    captions = Condition(
        tokens=jnp.concatenate([tokens, null]), mask=jnp.concatenate([mask, jnp.zeros_like(mask)])
    )

    @jax.jit
    def run(params, noise):
        encoded = model.encode(params, captions)
        denoiser = denoiser_from(lambda x_t, t: model.apply(params, x_t, t, encoded), whole, "eps")
        denoiser = clip_x_0(classifier_free(denoiser, float(golden["guidance_scale"])), whole)
        return sample(ddpm("posterior"), denoiser, taken, x_T, noise=noise)

    x_0 = run(params, nhwc(golden["noise"]))
    np.testing.assert_allclose(x_0, nhwc(golden["x_0"]), atol=1e-3)


def test_what_was_sampled_before_a_stop_is_saved_and_is_what_it_would_have_been(tmp_path):
    """Five images in batches of four of the base model, and of two of the upsampler."""
    pipe = Pipeline(pipeline_toys.stages("stages.upsampler.sampling.batch_size=2"))
    seen = []
    whole = pipe(PROMPTS, on_progress=lambda p: seen.append((p.stage, p.batch, p.num_batches)))
    small = Pipeline(pipe.stages[:1])(PROMPTS)
    np.testing.assert_array_equal(whole.stages[0], small.arrays)
    assert list(dict.fromkeys(seen)) == [
        ("base", 1, 2),
        *(("upsampler", batch, 3) for batch in (1, 2)),
        ("base", 2, 2),
        ("upsampler", 3, 3),
    ]

    def stop(progress):
        if (progress.stage, progress.batch) == ("upsampler", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe.saving_to(tmp_path)(PROMPTS, on_progress=stop)
    files = whole.files(tmp_path)
    assert [file.exists() for file in files] == [True] * 4 + [False]
    for file, pixels, made in zip(files[:4], whole.arrays, whole.provenance, strict=False):
        np.testing.assert_array_equal(Image.open(file), pixels)
        assert read_provenance(file) == made
