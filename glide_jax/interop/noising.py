"""The noising process by the references' option names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from glide_jax.config import DiffusionConfig, NoiseConfig
from glide_jax.errors import UserError, unknown_name

_SCHEDULES = {
    "glide": {"squared_cosine": "squaredcos_cap_v2", "linear": "linear"},
    "adm": {"squared_cosine": "cosine", "linear": "linear"},
}
"""Family → our name of a schedule → its name. Other families have no options for it."""


def noising_options(family: str, diffusion: NoiseConfig) -> dict[str, Any]:
    """The reference's options of a noising process; {}: the family has no options for it.

    Raises:
        UserError: the reference has no such schedule.
    """
    if family not in _SCHEDULES or not isinstance(diffusion, DiffusionConfig):
        return {}
    names = _SCHEDULES[family]
    if diffusion.schedule not in names:
        raise UserError(f"the reference has no noise_schedule like schedule={diffusion.schedule}")
    options = {
        "diffusion_steps": diffusion.num_steps,
        "noise_schedule": names[diffusion.schedule],
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


def with_options(diffusion: NoiseConfig, family: str, options: Mapping[str, Any]) -> NoiseConfig:
    """The noising process that the reference's options describe.

    Args:
        diffusion: gives what the options leave open.
        family: of the model.
        options: the reference's.

    Raises:
        UserError: the schedule is unknown.
    """
    if family not in _SCHEDULES or not isinstance(diffusion, DiffusionConfig):
        return diffusion
    ours = {theirs: name for name, theirs in _SCHEDULES[family].items()}
    if options["noise_schedule"] not in ours:
        raise unknown_name("noise_schedule", options["noise_schedule"], ours)
    return dataclasses.replace(
        diffusion,
        schedule=ours[options["noise_schedule"]],
        num_steps=options["diffusion_steps"],
        prediction="x_0" if options.get("predict_xstart") else "eps",
        # GLIDE's models always learn it; there is no option for it.
        learn_variance=options.get("learn_sigma", True),
    )
