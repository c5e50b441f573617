"""Imagen's dynamic thresholding."""

from glide_jax.experiments.claim import SHARED, Arm, Claim
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_SCALES = (3, 7, 15)
_THRESHOLDS = {"static": None, "dynamic": 0.995}


def _arm(kind: str, scale: int) -> Arm:
    settings = {"guidance_scale": float(scale), "dynamic_threshold": _THRESHOLDS[kind]}
    sampled = Sampled("imagen_quickstart", settings, num_stages=1)
    return Arm(f"{kind}, {scale}", sampled, f"{kind} thresholding", scale)


CLAIM = Claim(
    says="At high guidance scales dynamic thresholding saturates fewer pixels than static "
    "thresholding, and samples follow their captions better",
    paper="Imagen, Saharia et al. 2022, arXiv 2205.11487",
    where="section 2.3, figure 4c",
    figure="curves of FID against CLIP score, and images by the eye; no table",
    trained={"imagen_quickstart": SHARED["imagen_quickstart"]},
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(_arm(kind, scale) for kind in _THRESHOLDS for scale in _SCALES),
    scores=("prompt_truth", "respects", "saturated"),
    comparisons=(
        Difference("saturated", "static, 7", "dynamic, 7"),
        Difference("saturated", "static, 15", "dynamic, 15"),
        Difference("prompt_truth", "dynamic, 15", "static, 15"),
    ),
    x_label="guidance scale",
)
