"""The claims by name; a module is imported when its claim is run or listed."""

import importlib
from typing import TYPE_CHECKING

from glide_jax.errors import unknown_name

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Claim

CLAIMS = {
    "guidance": "guidance",
    "reranking": "reranking",
    "retrieval": "retrieval",
    "noised_clip": "noised_clip",
    "classifier_guidance": "classifier_guidance",
    "guidance_interval": "guidance_interval",
    "few_steps": "few_steps",
    "thresholding": "thresholding",
    "augmentation": "augmentation",
    "efficient_unet": "efficient_unet",
    "null_captions": "null_captions",
    "inpainting": "inpainting",
    "learned_variance": "learned_variance",
    "importance_sampling": "importance_sampling",
    "wordings": "wordings",
}
"""Name → the module of `experiments.claims`, whose CLAIM it is, in the order of the docs."""


def find_claim(name: str) -> "Claim":
    """The claim of a name.

    Raises:
        UserError: there is none.
    """
    if name not in CLAIMS:
        raise unknown_name("experiment", name, CLAIMS)
    return importlib.import_module(f"glide_jax.experiments.claims.{CLAIMS[name]}").CLAIM
