"""Classifier-free guidance needs a model that has learned without captions."""

from glide_jax.experiments.claim import SHORT_BASE, Arm, Claim, Trained
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_DROPOUTS = {"without null captions": 0.0, "20 % null captions": 0.2}
_NAMES = {"without null captions": "dropout_0", "20 % null captions": "dropout_20"}
_SCALES = (1, 2, 3, 5)


def _trained(dropout: float) -> Trained:
    changes = (
        *SHORT_BASE,
        f"stages.base.training.caption_dropout={dropout}",
    )
    return Trained("quickstart", changes, own=True)


def _arm(kind: str, scale: int) -> Arm:
    settings = {"sampler": "ddim", "steps": "20", "guidance_scale": float(scale)}
    return Arm(f"{kind}, {scale}", Sampled(_NAMES[kind], settings, num_stages=1), kind, scale)


CLAIM = Claim(
    says="Classifier-free guidance makes samples follow their captions if a fifth of training's "
    "captions was replaced by the null caption, and not without",
    paper="Ho & Salimans 2022, arXiv 2207.12598; GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="GLIDE's sections 2.3 and 4.2, 20 % of null captions",
    figure="no ablation without: 10 and 20 % do best of 10, 20 and 50 % on ImageNet",
    trained={_NAMES[kind]: _trained(dropout) for kind, dropout in _DROPOUTS.items()},
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(_arm(kind, scale) for kind in _DROPOUTS for scale in _SCALES),
    scores=("prompt_truth", "respects"),
    comparisons=(
        Difference("prompt_truth", "20 % null captions, 3", "20 % null captions, 1"),
        Difference("prompt_truth", "20 % null captions, 3", "without null captions, 3"),
    ),
    x_label="guidance scale",
)
