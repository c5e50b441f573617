"""The diffusion of DeepFloyd IF's public reference: tests/golden/imagen holds its figures, NCHW."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.load import HERE, load, nhwc

from glide_jax.diffusion import gaussian
from glide_jax.diffusion.augmentation import augmentation_step, augmented, diffused
from glide_jax.diffusion.guidance import classifier_free, dynamic_threshold
from glide_jax.diffusion.sample import sample_x_0_hats
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.schedule import BETAS, kept_timesteps, make_schedule
from glide_jax.models.enlargement import align_corners
from glide_jax.types import Condition, Prediction

GOLDEN = HERE / "imagen"
BETA = BETAS["squared_cosine"](1000)
FULL = make_schedule(BETA)
OURS = {"fast27": "10,10,3,2,2"}
"""IF's name of a respacing that is another one of ours."""


def figures(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


RESPACING = figures("respacing")


def test_betas():
    np.testing.assert_allclose(BETA, RESPACING["betas"], rtol=1e-12)


@pytest.mark.parametrize("key", [key for key in RESPACING if key.startswith("timesteps_")])
def test_kept_timesteps(key):
    name = key.removeprefix("timesteps_")
    found = kept_timesteps(OURS.get(name, name), BETA)
    np.testing.assert_array_equal(found, RESPACING[key])


@pytest.mark.parametrize("stage", ["stage1", "upsampler"])
def test_dynamic_thresholding(stage):
    golden = figures("dynamic_thresholding")
    x_0 = nhwc(golden[f"{stage}_x_0"])
    said = lambda x_t, t: Prediction(jnp.zeros_like(x_t), x_0_hat=x_0)  # noqa: E731
    quantile, cap = float(golden[f"{stage}_p"]), float(golden[f"{stage}_c"])
    found = dynamic_threshold(said, FULL, quantile, cap)(x_0, jnp.zeros(len(x_0), jnp.int32))
    assert found.x_0_hat is not None
    np.testing.assert_allclose(found.x_0_hat, nhwc(golden[f"{stage}_out"]), atol=1e-5)


def test_augmentation():
    golden = figures("augmentation")
    steps = augmentation_step(golden["aug_level"])
    np.testing.assert_array_equal(steps, golden["aug_steps"])
    enlarged = align_corners(nhwc(golden["low_res"]), 32, 32)
    np.testing.assert_allclose(enlarged, nhwc(golden["enlarged"]), atol=1e-5)
    noised = diffused(enlarged, steps, nhwc(golden["noise"]))
    np.testing.assert_allclose(noised, nhwc(golden["noised"]), atol=1e-5)


@pytest.mark.parametrize("cap", [1.5, 1.0])
def test_one_step(cap):
    golden = figures("if_one_step")
    x_t, t = nhwc(golden["x_t"]), jnp.asarray(golden["t"], jnp.int32)
    model = gaussian.denoiser_from(lambda x_t, t: nhwc(golden["model_out"]), FULL, "eps")
    prediction = dynamic_threshold(model, FULL, 0.95, cap)(x_t, t)
    mean, _, log_variance = gaussian.p_posterior(FULL, t, x_t, prediction)
    assert prediction.x_0_hat is not None
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(prediction.x_0_hat, nhwc(golden[f"pred_x_0_c{cap}"]), **close)
    np.testing.assert_allclose(mean, nhwc(golden[f"mean_c{cap}"]), **close)
    np.testing.assert_allclose(log_variance, nhwc(golden[f"log_variance_c{cap}"]), **close)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["if_loop_stage1", pytest.param("if_loop_upsampler", marks=pytest.mark.slow)]
)
def test_loop(name):
    golden = figures(name)
    _, _, model, params = load(name.replace("_loop", ""), GOLDEN)
    taken = make_schedule(BETA, kept_timesteps(str(golden["respacing"]), BETA))
    text, b = golden["text_emb"], len(golden["x_T"])
    both = np.concatenate([text, np.broadcast_to(golden["null_emb"], text.shape)])
    condition = Condition(text_embedding=jnp.asarray(both))
    if "low_res" in golden:
        levels = jnp.full(b, float(golden["aug_level"]), jnp.float32)
        given = lambda shape: nhwc(golden["aug_noise"])  # noqa: E731
        low_res, levels = augmented(nhwc(golden["low_res"]), levels, given, model.enlarge)
        twice = {"low_res": jnp.tile(low_res, (2, 1, 1, 1)), "aug_level": jnp.tile(levels, 2)}
        condition = Condition(text_embedding=condition.text_embedding, **twice)
    encoded = jax.jit(model.encode)(params, condition)

    @jax.jit
    def run(params, x_T, noise):
        apply = lambda x_t, t: model.apply(params, x_t, t, encoded)  # noqa: E731
        stacked = gaussian.denoiser_from(apply, FULL, "eps")
        guided = classifier_free(stacked, float(golden["guidance_scale"]))
        quantile, cap = (float(golden[f"dynamic_thresholding_{x}"]) for x in "pc")
        denoiser = dynamic_threshold(guided, FULL, quantile, cap)
        return sample_x_0_hats(SAMPLERS["ddpm"](1.0), denoiser, taken, x_T, noise=noise)

    x_0_hats = run(params, nhwc(golden["x_T"]), nhwc(golden["noise"]))
    middle = x_0_hats[taken.num_steps // 2]
    np.testing.assert_allclose(middle, nhwc(golden["pred_x_0_mid"]), atol=5e-3)
    # The last step returns its x_0_hat.
    np.testing.assert_allclose(x_0_hats[-1], nhwc(golden["x_0"]), atol=5e-3)
