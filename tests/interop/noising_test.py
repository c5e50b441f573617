"""The noising process by the references' option names."""

import dataclasses

import pytest
import tiny

from glide_jax.errors import UserError
from glide_jax.interop.noising import noising_options, with_options

DIFFUSION = tiny.experiment().stages["base"].diffusion


@pytest.mark.parametrize("family", ["glide", "adm"])
@pytest.mark.parametrize("schedule", ["squared_cosine", "linear"])
def test_options_give_the_process_again(family, schedule):
    diffusion = dataclasses.replace(DIFFUSION, schedule=schedule, prediction="eps")
    options = noising_options(family, diffusion)
    other = dataclasses.replace(diffusion, schedule="cosine", num_steps=7)
    again = with_options(other, family, options | {"learn_sigma": diffusion.learn_variance})
    assert again == diffusion


def test_a_schedule_that_the_reference_lacks_is_named():
    diffusion = dataclasses.replace(DIFFUSION, schedule="cosine")
    with pytest.raises(UserError, match="no noise_schedule like schedule=cosine"):
        noising_options("glide", diffusion)
    assert noising_options("imagen", diffusion) == {}
