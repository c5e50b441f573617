"""Noise-conditioning augmentation in a cascade."""

from glide_jax.experiments.claim import SHARED, Arm, Claim
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_LEVELS = (0.0, 0.1)

CLAIM = Claim(
    says="An upsampler that was trained with noise-conditioning augmentation enlarges a base "
    "model's samples better when some noise is put on them than when none is",
    paper="Imagen, Saharia et al. 2022, arXiv 2205.11487; Ho et al. 2021, arXiv 2106.15282",
    where="Imagen's sections 2.4 and 4.4",
    figure="curves of FID against CLIP score by aug_level; no table",
    trained={"imagen_quickstart": SHARED["imagen_quickstart"]},
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(
        Arm(
            f"aug_level {level:g}",
            Sampled("imagen_quickstart", {"upsampler.aug_level": level}, num_stages=2),
        )
        for level in _LEVELS
    ),
    scores=("prompt_truth", "respects"),
    comparisons=(Difference("prompt_truth", "aug_level 0.1", "aug_level 0"),),
)
