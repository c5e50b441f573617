"""Configs that earlier versions wrote, as this one has them."""

from typing import Any

from glide_jax.errors import UserError


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's config with the keys that its version did not have.

    Args:
        values: nested sections, of version 0.2 or later; changed in place.

    Returns:
        The same, for `config.from_dict`.

    Raises:
        UserError: it is of a model that can't be read any more.
    """
    for stage in values["stages"].values():
        # New in 0.3: before it, every stage was trained on whole images.
        if "max_aug_level" in stage["training"]:
            stage["training"].setdefault("crop_size", 0)
        if stage["model"]["family"] == "imagen" and "text_layers" not in stage["model"]:
            raise UserError(
                "it holds an Imagen model of version 0.3, whose weights had other names: train or "
                "import it again"
            )
        # New in 0.6: before it, no model was conditioned on a guidance scale.
        if "aug_level_conditioning" in stage["model"]:
            stage["model"].setdefault("guidance_range", ())
        # New in 0.7: before it, the whole model was evaluated at every step.
        if "sampling" in stage:
            stage["sampling"].setdefault("cache_interval", 1)
    # New in 0.4: before it, nothing was evaluated during training.
    if values.get("evaluation"):
        values["evaluation"].setdefault("periodic", None)
    return values
