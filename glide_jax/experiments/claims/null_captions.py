"""Classifier-free guidance needs a model that has learned without captions."""

from glide_jax.experiments.claim import SHORT, SHORT_BASE, Arm, Claim, Trained
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_MODELS = {"without null captions": "dropout_0", "20 % null captions": "short"}
_SCALES = (1, 3, 5)

_WITHOUT = Trained(
    "quickstart", (*SHORT_BASE, "stages.base.training.caption_dropout=0.0"), own=True
)


def _arm(kind: str, scale: int) -> Arm:
    settings = {"sampler": "ddim", "steps": "20", "guidance_scale": float(scale)}
    return Arm(f"{kind}, {scale}", Sampled(_MODELS[kind], settings, num_stages=1), kind, scale)


CLAIM = Claim(
    says="Classifier-free guidance makes samples follow their captions if a fifth of training's "
    "captions was replaced by the null caption, and not without",
    paper="Ho & Salimans 2022, arXiv 2207.12598; GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="section 4.2; GLIDE's sections 2.3 and 4.2, 20 % of null captions",
    figure="no ablation without any: of 10, 20 and 50 %, 50 does worst on ImageNet-64",
    trained={"dropout_0": _WITHOUT, **SHORT},
    split="compositional",
    rows=256,
    seeds=(1, 2, 3),
    arms=tuple(_arm(kind, scale) for kind in _MODELS for scale in _SCALES),
    scores=("prompt_truth", "respects"),
    comparisons=(
        Difference("prompt_truth", "20 % null captions, 3", "20 % null captions, 1"),
        Difference("prompt_truth", "20 % null captions, 3", "without null captions, 3"),
    ),
    x_label="guidance scale",
)
