"""The same figures as the public PyTorch reference; tests/golden holds them, NCHW."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_toys import schedules, toy_network

from glide_jax.diffusion import gaussian, losses
from glide_jax.diffusion.guidance import clip_x_0, keep_known, shift_mean, shift_score
from glide_jax.diffusion.sample import sample, sample_x_0_hats
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.schedule import BETAS, kept_timesteps

GOLDEN = Path(__file__).parents[1] / "golden"
OUR_NAME = {"linear": "linear", "squaredcos_cap_v2": "squared_cosine"}


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def nhwc(array):
    return jnp.moveaxis(jnp.asarray(array), -3, -1)


def nchw(array):
    return np.moveaxis(np.asarray(array), -1, -3)


SCHEDULES = load("schedules")


@pytest.mark.parametrize("key", [key for key in SCHEDULES if key.startswith("betas_")])
def test_betas(key):
    name, num_steps = key.removeprefix("betas_").rsplit("_", 1)
    np.testing.assert_allclose(BETAS[OUR_NAME[name]](int(num_steps)), SCHEDULES[key], rtol=1e-12)


@pytest.mark.parametrize("key", [key for key in SCHEDULES if key.startswith("timesteps_")])
def test_kept_timesteps(key):
    spec = key.removeprefix("timesteps_").replace("_", ",")
    np.testing.assert_array_equal(kept_timesteps(spec, BETAS["linear"](1000)), SCHEDULES[key])


@pytest.fixture(scope="module")
def one_step():
    figures = load("one_step")
    return {key: nhwc(value) if value.ndim == 4 else value for key, value in figures.items()}


def close(found, expected, rtol=1e-5):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-5)


def test_q(one_step):
    full, _ = schedules()
    x_0, x_t, t = one_step["x_0"], one_step["x_t"], jnp.asarray(one_step["t"])
    close(gaussian.q_sample(full, t, x_0, one_step["eps"]), x_t)
    mean, variance, log_variance = gaussian.q_posterior(full, t, x_0, x_t)
    close(mean, one_step["posterior_mean"])
    close(variance + 0 * x_t, one_step["posterior_variance"])
    close(log_variance + 0 * x_t, one_step["posterior_log_variance"])


def test_p_clipped(one_step):
    full, _ = schedules()
    x_t, t = one_step["x_t"], jnp.asarray(one_step["t"])
    model = gaussian.denoiser_from(lambda x_t, t: one_step["model_out"], full, "eps")
    prediction = clip_x_0(model, full)(x_t, t)
    mean, _, log_variance = gaussian.p_posterior(full, t, x_t, prediction)
    close(mean, one_step["mean"])
    close(log_variance, one_step["log_variance"])
    x_0_hat = gaussian.x_0_from_eps(full, t, x_t, prediction.eps)
    # t = 999, where eps in float32 can't say x_0_hat more exactly: see guidance.py.
    close(x_0_hat[:-1], one_step["pred_x_0"][:-1])
    np.testing.assert_allclose(x_0_hat[-1], one_step["pred_x_0"][-1], atol=3e-3)


def test_hybrid_loss(one_step):
    full, _ = schedules()
    terms = losses.loss_terms(
        lambda x_t, t: one_step["model_out"],
        full,
        "eps",
        jnp.asarray(one_step["t"]),
        one_step["x_0"],
        one_step["eps"],
        vlb_weight=0.001,
    )
    close(terms["mse"], one_step["loss_rescaled_mse_mse"])
    close(terms["vlb"] / 1000, one_step["loss_rescaled_mse_vb"])
    close(terms["hybrid"], one_step["loss_rescaled_mse_loss"])
    close(terms["vlb"] / full.num_steps, one_step["loss_kl_loss"])
    close(terms["vlb"], one_step["loss_rescaled_kl_loss"])


def test_bits_per_dim(one_step):
    """Here the toy network was given the index in the 20 kept steps, and eps was every step's."""
    full, kept = schedules("linear", "20")

    def given_the_index(x_t, t):
        return toy_network(x_t, jnp.searchsorted(kept.timesteps, t))

    denoiser = clip_x_0(gaussian.denoiser_from(given_the_index, full, "eps"), full)
    noise = jnp.broadcast_to(one_step["eps"], (20, *one_step["eps"].shape))
    bits = losses.bits_per_dim(denoiser, kept, one_step["x_0"], noise=noise)
    close(bits["prior"], one_step["bpd_linear20_prior"])
    # The reference lists the noisiest first.
    close(bits["vlb"][:, ::-1], one_step["bpd_linear20_vb"], rtol=1e-5)
    close(bits["total"], one_step["bpd_linear20_total"])


def toy_gradient(x_t, t):
    return 0.3 * jnp.cos(2 * x_t) * (1 + t.reshape(-1, 1, 1, 1) / 1000)


@pytest.mark.parametrize(
    "name",
    [
        "ddpm_100",
        "ddpm_27_linear_noclip",
        "ddim_fast27",
        "ddim_eta",
        "ddpm_inpaint",
        "ddpm_cond_mean",
        "ddim_cond_score",
    ],
)
def test_loop(name):
    figures = load(f"loop_{name}")
    full, kept = schedules(OUR_NAME[str(figures["schedule"])], str(figures["respacing"]))
    denoiser = gaussian.denoiser_from(toy_network, full, "eps")
    if "known_mask" in figures:
        known, mask = nhwc(figures["known_image"]), nhwc(figures["known_mask"])
        denoiser = keep_known(denoiser, full, known, mask)
    if figures["clip_denoised"]:
        denoiser = clip_x_0(denoiser, full)
    if name.endswith("cond_mean"):
        denoiser = shift_mean(denoiser, toy_gradient)
    if name.endswith("cond_score"):
        denoiser = shift_score(denoiser, full, toy_gradient)
    sampler = SAMPLERS[name.split("_")[0]](float(figures["eta"]))

    @jax.jit
    def run(x_T, noise):
        x_0 = sample(sampler, denoiser, kept, x_T, noise=noise)
        return x_0, sample_x_0_hats(sampler, denoiser, kept, x_T, noise=noise)

    x_0, x_0_hats = run(nhwc(figures["x_T"]), nhwc(figures["noise"]))
    # Unclipped, the toy network runs away: infinities and NaN must be in the same places.
    same = {"rtol": 1e-3, "atol": 1e-3, "equal_nan": True}
    np.testing.assert_allclose(nchw(x_0), figures["x_0"], **same)
    np.testing.assert_allclose(nchw(x_0_hats[kept.num_steps // 2]), figures["pred_x_0_mid"], **same)
