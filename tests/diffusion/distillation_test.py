"""What a student is taught: where one step of it must lead, whatever it predicts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from glide_jax.diffusion import distillation
from glide_jax.diffusion.gaussian import PREDICTIONS, at, eps_from_x_0, q_sample, x_0_from_eps
from glide_jax.diffusion.guidance import classifier_free, clip_x_0
from glide_jax.diffusion.losses import truncated_snr
from glide_jax.diffusion.samplers import SAMPLERS
from glide_jax.diffusion.samplers.sampler import fixed_noise
from glide_jax.diffusion.schedule import BETAS, kept_timesteps, make_schedule
from glide_jax.types import Prediction

pytestmark = pytest.mark.newest

NAMES = ("squared_cosine", "linear", "cosine")
SHAPE = (4, 5, 5, 3)


def normal(seed):
    return jax.random.normal(jax.random.key(seed), SHAPE)


def of_x_0(schedule, x_0_of):
    """The denoiser whose x_0_hat is x_0_of(x_t, t)."""

    def denoiser(x_t, t):
        x_0 = x_0_of(x_t, t)
        return Prediction(eps_from_x_0(schedule, t, x_t, x_0), x_0_hat=x_0)

    return denoiser


def gaussian_data(schedule, variance=0.25):
    """The ideal denoiser of data that are independent normal numbers."""

    def x_0_of(x_t, t):
        alpha_bar = at(schedule.alpha_bar, t, x_t)
        return jnp.sqrt(alpha_bar) * variance / (alpha_bar * variance + 1 - alpha_bar) * x_t

    return of_x_0(schedule, x_0_of)


def setting(name, count):
    betas = BETAS[name](1000)
    steps = distillation.halving(betas, count)
    return make_schedule(betas), steps, steps.student.timesteps[jnp.arange(4) % count]


@pytest.mark.parametrize("count", [1, 3, 4, 8, 16])
@pytest.mark.parametrize("num_steps", [32, 37, 1000, 1024])
def test_the_steps_are_those_of_sampling_and_every_second_of_the_teachers(num_steps, count):
    betas = BETAS["squared_cosine"](num_steps)
    steps = distillation.halving(betas, count)
    student, teacher = np.asarray(steps.student.timesteps), np.asarray(steps.teacher.timesteps)
    np.testing.assert_array_equal(student, kept_timesteps(f"trailing{count}", betas))
    assert len(student) == count
    assert student[-1] == num_steps - 1
    np.testing.assert_array_equal(teacher[1::2], student)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_teacher_teaches_the_image(name):
    schedule, steps, t = setting(name, 4)
    x_0 = jnp.clip(normal(0) / 2, -1, 1)
    x_t = q_sample(schedule, t, x_0, normal(1))
    perfect = of_x_0(schedule, lambda x_t, t: x_0)
    taught = distillation.progressive_target(perfect, steps, x_t, t)
    np.testing.assert_allclose(taught, x_0, atol=2e-5)
    taught = distillation.guidance_target(perfect, schedule, x_t, t)
    np.testing.assert_array_equal(taught, x_0)


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("name", NAMES)
def test_one_step_towards_the_target_is_two_of_the_teacher_as_sampling_takes_them(name, count):
    """Of normal data, whose ideal denoiser is known; both by DDIM as sampling runs it."""
    schedule, steps, _ = setting(name, count)
    denoiser, update = clip_x_0(gaussian_data(schedule), schedule), SAMPLERS["ddim"](0.0).update
    none = fixed_noise(jnp.zeros(SHAPE))
    for i in range(count):
        t = jnp.full(4, steps.student.timesteps[i])
        x_t = q_sample(schedule, t, normal(2) / 2, normal(3))
        x_s = x_t
        for place in (2 * i + 1, 2 * i):
            x_s, _, _ = update(denoiser, steps.teacher, jnp.int32(place), x_s, (), none)
        target = distillation.progressive_target(denoiser, steps, x_t, t)
        student = of_x_0(schedule, lambda x_t, t, target=target: target)
        own, _, _ = update(student, steps.student, jnp.int32(i), x_t, (), none)
        np.testing.assert_allclose(own, x_s, atol=3e-6)


def test_guidance_of_scale_1_teaches_the_conditional_prediction():
    schedule, _, t = setting("squared_cosine", 4)
    x_t, cond, uncond = normal(0), jnp.tanh(normal(1)), jnp.tanh(normal(2))

    def taught(scale):
        stacked = of_x_0(schedule, lambda x_t, t: jnp.concatenate([cond, uncond]))
        guided = classifier_free(stacked, jnp.full(4, scale))
        return distillation.guidance_target(guided, schedule, x_t, t)

    # At the last steps x_0_hat can't be had from eps in float32.
    early = np.asarray(t) < 900
    np.testing.assert_allclose(taught(1.0)[early], cond[early], atol=1e-4)
    np.testing.assert_allclose(taught(3.0)[early], (3 * cond - 2 * uncond)[early], atol=3e-4)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_the_error_of_x_0_hat_weighted_by_the_truncated_snr(prediction):
    """Salimans & Ho 2022, sec. 4: the larger of the errors of x_0 and of eps."""
    schedule, _, t = setting("squared_cosine", 8)
    t = jnp.minimum(t, 900)
    x_t, target, output = normal(0), jnp.tanh(normal(1)), normal(2)
    given = schedule, prediction, t, x_t, target
    terms = distillation.distillation_terms(output, *given, truncated_snr)
    eps = PREDICTIONS[prediction].to_eps(schedule, t, x_t, output)
    x_0_error = jnp.square(x_0_from_eps(schedule, t, x_t, eps) - target).mean((1, 2, 3))
    eps_error = jnp.square(eps - eps_from_x_0(schedule, t, x_t, target)).mean((1, 2, 3))
    np.testing.assert_allclose(terms["hybrid"], jnp.maximum(x_0_error, eps_error), rtol=1e-3)
    right = PREDICTIONS[prediction].target(
        schedule, t, target, eps_from_x_0(*given[:1], t, x_t, target)
    )
    assert distillation.distillation_terms(right, *given, truncated_snr)["hybrid"].max() < 1e-9
