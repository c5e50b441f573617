"""Requests: seeds, settings resolved over a config, and what makes no sense."""

import jax
import numpy as np
import pytest
import tiny

from glide_jax.errors import UserError
from glide_jax.sampling.request import check_strength, resolve, stage_key, subjects_of

CONFIG = tiny.experiment("stages.base.sampling.guidance_scale=2").first_stage.sampling


def settings(given, subjects=1, images=1, *, inpaints=False):
    return resolve(given, CONFIG, subjects, images, inpaints=inpaints)


def test_every_seed_is_another_key():
    """JAX's keys alone would take a seed's low 32 bits."""
    seeds = [0, 5, 2**31, 2**32, 2**32 + 5, 2**62 + 5, 2**63 - 1]
    keys = [jax.random.key_data(stage_key(seed, place)) for seed in seeds for place in (0, 1)]
    assert len(np.unique(keys, axis=0)) == 2 * len(seeds)
    small = jax.random.fold_in(jax.random.key(5), 1)
    np.testing.assert_array_equal(jax.random.key_data(small), jax.random.key_data(stage_key(5, 1)))


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, "1", None])
def test_a_bad_seed_is_one_line(seed):
    with pytest.raises(UserError, match="a seed is an integer from 0 to"):
        stage_key(seed, 0)


def test_what_is_left_out_is_the_config_s():
    assert settings({}).sampling == CONFIG
    assert settings({"eta": None, "clip_scale": None}).sampling == CONFIG
    assert settings({}, 2, 3).guidance_scales == (2,) * 6


def test_settings_take_the_place_of_the_config_s():
    given = {
        "steps": np.int64(7),
        "eta": np.float32(0.5),
        "guidance_interval": [0.25, 0.5],
        "dynamic_threshold": 0.995,
        "clip_scale": 3,
    }
    found = settings(given)
    assert (found.sampling.steps, found.sampling.eta) == ("7", 0.5)
    assert found.sampling.guidance_interval == (0.25, 0.5)
    assert found.sampling.dynamic_threshold == 0.995
    assert (found.clip_scale, found.classifier_scale) == (3, None)
    assert settings({"guidance_scale": [1, 4]}, 2, 2).guidance_scales == (1, 1, 4, 4)
    again = settings(found.to_dict(0))
    assert again == found


def test_inpainting_has_a_sampler_of_its_own():
    assert CONFIG.sampler != CONFIG.inpaint_sampler
    assert settings({}, inpaints=True).sampling.sampler == CONFIG.inpaint_sampler
    assert settings({"sampler": "plms"}, inpaints=True).sampling.sampler == "plms"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"guidance": 3}, "unknown setting 'guidance': did you mean 'guidance_scale'"),
        ({"eta": "0.5"}, "eta must be a number, not '0.5'"),
        ({"temperature": float("inf")}, "temperature must be a number"),
        ({"eta": True}, "eta must be a number"),
        (
            {"guidance_interval": 0.5},
            "guidance_interval must be a tuple, of a number each, not 0.5",
        ),
        ({"guidance_interval": (0.1, "b")}, "guidance_interval must be a number"),
        ({"guidance_interval": (0.1, 0.2, 0.3)}, "two rising numbers"),
        ({"batch_size": 2.5}, "batch_size must be an integer, not 2.5"),
        ({"resamples": 0}, "resamples must be 1 or more"),
        ({"sampler": 3}, "sampler must be text, not 3"),
        ({"clip_scale": -1}, "clip_scale must be a number, 0 or more"),
        ({"guidance_scale": [1, 2]}, "1 prompts and 2 guidance scales"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line(given, message):
    with pytest.raises(UserError, match=message) as error:
        settings(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("strength", ["0.5", 0, -1, 1.5, float("nan"), None])
def test_a_strength_is_a_share(strength):
    with pytest.raises(UserError, match="strength must be above 0 and at most 1, not"):
        check_strength(strength)
    assert check_strength(np.float32(0.5)) == 0.5


def test_prompts_and_negative_prompts_go_together():
    both = subjects_of(["a", "b"], ["c", "d"])
    assert [(s.prompt, s.negative_prompt) for s in both] == [("a", "c"), ("b", "d")]
    with pytest.raises(UserError, match="give a prompt"):
        subjects_of([], "")
