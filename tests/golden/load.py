"""The golden models: filled by the formula, ready to call."""

import json
from pathlib import Path

import jax.numpy as jnp
from golden.formula import weight

from glide_jax.interop import openai

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "golden"
"""Where the models of released size lie, if they do."""


def load(name, folder=HERE):
    """(manifest, state dict, model, params) of one of the golden models."""
    manifest = json.loads((folder / f"{name}.manifest.json").read_text())
    state_dict = {k: weight(k, tuple(shape)) for k, shape in manifest["state_dict"].items()}
    return manifest, state_dict, *openai.from_state_dict(state_dict, manifest["options"])


def nhwc(array):
    """An array of a golden file, [… c h w], as this project has it, [… h w c]."""
    return jnp.moveaxis(jnp.asarray(array), -3, -1)
