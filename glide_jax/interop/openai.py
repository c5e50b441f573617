"""OpenAI's released models: their option names and state dicts ↔ our configs and params."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from glide_jax.config import ModelConfig
from glide_jax.errors import UserError
from glide_jax.interop import tables
from glide_jax.models.glide import Model, glide
from glide_jax.types import Params

_DEFAULT_CHANNEL_MULT = {64: "1,2,3,4", 128: "1,1,2,3,4", 256: "1,1,2,2,4,4"}
_UPSAMPLING = 4
_NORM_GROUPS = 32
_GLIDE_RULES = tables.rules(tables.GLIDE)


def glide_config(options: Mapping[str, Any]) -> ModelConfig:
    """The reference's option dict (as in its `model_and_diffusion_defaults`) → ModelConfig."""
    size = options["image_size"]
    mult = options["channel_mult"] or _DEFAULT_CHANNEL_MULT[size]
    return ModelConfig(
        image_size=size,
        low_res_size=size // _UPSAMPLING if options["super_res"] else 0,
        inpaint=options["inpaint"],
        channels=options["num_channels"],
        channel_mult=tuple(int(m) for m in mult.split(",")),
        num_res_blocks=options["num_res_blocks"],
        attention_resolutions=tuple(int(r) for r in options["attention_resolutions"].split(",")),
        head_channels=options["num_head_channels"],
        norm_groups=_NORM_GROUPS,
        dropout=options["dropout"],
        scale_shift_norm=options["use_scale_shift_norm"],
        resblock_updown=options["resblock_updown"],
        text_width=options["xf_width"],
        text_layers=options["xf_layers"],
        text_heads=options["xf_heads"],
        text_padding=options["xf_padding"],
        text_final_norm=options["xf_final_ln"],
        dtype="float32",
    )


def from_state_dict(
    state_dict: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> tuple[Model, Params]:
    """A released checkpoint's arrays → our model and its weights.

    Args:
        state_dict: float arrays by PyTorch key, PyTorch layout.
        options: the reference's option dict.

    Raises:
        UserError: keys are missing, extra or of another shape; it names them all.
    """
    model = glide(
        glide_config(options),
        vocab_size=len(state_dict["token_embedding.weight"]),
        text_length=options["text_ctx"],
        learn_variance=True,
    )
    params: dict[str, Any] = {}
    wrong, left = [], set(state_dict)
    for path, expected in model.shapes.items():
        key, rule = tables.match(path, _GLIDE_RULES)
        if key not in state_dict:
            wrong.append(f"missing {key}")
            continue
        left.discard(key)
        params[path] = rule.from_torch(np.asarray(state_dict[key], dtype=np.float32))
        if params[path].shape != expected.shape:
            want = rule.to_torch(np.empty(expected.shape, np.bool_)).shape
            wrong.append(f"{key} is {tuple(state_dict[key].shape)}, not {want}")
    wrong += [f"unknown {key}" for key in sorted(left)]
    if wrong:
        raise UserError("the state dict is not this model's: " + "; ".join(wrong))
    return model, params


def to_state_dict(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Our weights → arrays by PyTorch key, PyTorch layout; the inverse of `from_state_dict`."""
    state_dict = {}
    for path, array in params.items():
        key, rule = tables.match(path, _GLIDE_RULES)
        state_dict[key] = rule.to_torch(np.asarray(array))
    return state_dict
