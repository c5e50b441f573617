"""The noising process, by the references' option names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from glide_jax.config import DiffusionConfig
from glide_jax.errors import unknown_name

_SCHEDULES = {
    "glide": {"squared_cosine": "squaredcos_cap_v2", "linear": "linear"},
    "adm": {"squared_cosine": "cosine", "linear": "linear"},
}
"""Family → our name of a schedule → its own. The other families' options don't speak of it."""


def noising_options(family: str, diffusion: DiffusionConfig) -> dict[str, Any]:
    """The reference's options of a noising process; {}: the family's options have none."""
    if family not in _SCHEDULES:
        return {}
    options = {
        "diffusion_steps": diffusion.num_steps,
        "noise_schedule": _SCHEDULES[family][diffusion.schedule],
        "timestep_respacing": "",
    }
    if family == "adm":
        options |= {
            "predict_xstart": diffusion.prediction == "x_0",
            "use_kl": False,
            "rescale_timesteps": False,
            "rescale_learned_sigmas": False,
        }
    return options


def with_options(
    diffusion: DiffusionConfig, family: str, options: Mapping[str, Any]
) -> DiffusionConfig:
    """A noising process, and what the model says of it, as the reference's options have them.

    Args:
        diffusion: where the options say nothing, this stays.
        family: whose options they are.
        options: of the reference.

    Raises:
        UserError: a schedule that nobody knows.
    """
    if family not in _SCHEDULES:
        return diffusion
    ours = {theirs: name for name, theirs in _SCHEDULES[family].items()}
    if options["noise_schedule"] not in ours:
        raise unknown_name("noise_schedule", options["noise_schedule"], ours)
    return dataclasses.replace(
        diffusion,
        schedule=ours[options["noise_schedule"]],
        num_steps=options["diffusion_steps"],
        prediction="x_0" if options.get("predict_xstart") else "eps",
        # GLIDE's models always do, and have no option for it.
        learn_variance=options.get("learn_sigma", True),
    )
