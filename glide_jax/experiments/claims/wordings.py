"""A frozen language model beside a text transformer that was learned with the U-Net."""

from glide_jax.experiments.claim import SHARED, Arm, Claim
from glide_jax.experiments.measures.reworded import WORDINGS, Reworded
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_MODELS = {"frozen": "imagen_quickstart", "learned": "quickstart"}
_SETTINGS = {"sampler": "ddim", "steps": "10", "guidance_scale": 3.0}


def _arm(model: str, wording: str) -> Arm:
    sampled = Sampled(_MODELS[model], _SETTINGS, num_stages=1)
    return Arm(f"{model}, {wording}", Reworded(sampled, wording))


CLAIM = Claim(
    says="A frozen text encoder, trained on text alone, understands words of captions that the "
    "training of the U-Net never had, better than an encoder that was trained with it",
    paper="Imagen, Saharia et al. 2022, arXiv 2205.11487",
    where="sections 2.1 and 4.4",
    figure="no number of new words; people prefer T5-XXL's samples to CLIP's on DrawBench",
    trained={name: SHARED[name] for name in _MODELS.values()},
    split="compositional",
    rows=64,
    seeds=(1, 2, 3),
    arms=tuple(_arm(model, wording) for model in _MODELS for wording in WORDINGS),
    scores=("prompt_truth", "respects"),
    comparisons=tuple(
        Difference("respects", f"frozen, {wording}", f"learned, {wording}")
        for wording in WORDINGS
        if WORDINGS[wording]
    ),
)
