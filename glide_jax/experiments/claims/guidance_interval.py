"""Guidance in a part of the noising process."""

from glide_jax.experiments.claim import SHORT, Arm, Claim
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_SCALES = (3.0, 7.0)
_INTERVALS = {"everywhere": (0.0, 1.0), "in 0.2 … 0.9": (0.2, 0.9)}


def _arm(where: str, scale: float) -> Arm:
    settings = {
        "sampler": "ddim",
        "steps": "20",
        "guidance_scale": scale,
        "guidance_interval": _INTERVALS[where],
    }
    return Arm(f"{scale:g}, {where}", Sampled("short", settings, num_stages=1), where, scale)


CLAIM = Claim(
    says="Guidance in a part of the noising process is better than guidance in all of it, at a "
    "common scale and at a high one",
    paper="Kynkäänniemi et al. 2024, arXiv 2404.07724",
    where="sections 4 and 5, table 1",
    figure="FID of EDM2-XXL on ImageNet-512 1.81 with guidance everywhere, 1.40 in an interval",
    trained=SHORT,
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(_arm(where, scale) for where in _INTERVALS for scale in _SCALES),
    scores=("prompt_truth", "respects"),
    comparisons=tuple(
        Difference("prompt_truth", f"{scale}, in 0.2 … 0.9", f"{scale}, everywhere")
        for scale in (3, 7)
    ),
    x_label="guidance scale",
)
