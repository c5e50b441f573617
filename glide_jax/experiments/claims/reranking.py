"""Reranking: of several samples the one that CLIP prefers."""

from glide_jax.experiments.claim import SHARED, SHORT, Arm, Claim
from glide_jax.experiments.measures.reranked import Reranked
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

# Without guidance, as there is more to gain.
_SAMPLED = Sampled("short", {"sampler": "ddim", "steps": "20", "guidance_scale": 1.0}, num_stages=1)
_COUNTS = (1, 2, 4, 8)

CLAIM = Claim(
    says="Of several samples of a caption the one that CLIP scores highest follows it better than "
    "any one of them, and the best of more better still",
    paper="DALL-E, Ramesh et al. 2021, arXiv 2102.12092",
    where="section 2.6 and figure 6; GLIDE compares with it in table 3",
    figure="by the eye, images of COCO's captions, the best of 1, 8, 64 and 512; no number",
    trained={**SHORT, "clip_quickstart": SHARED["clip_quickstart"]},
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(
        Arm(f"best of {n}", Reranked(_SAMPLED, "clip_quickstart", n), "best by CLIP", n)
        for n in _COUNTS
    ),
    scores=("prompt_truth", "respects"),
    comparisons=(
        Difference("prompt_truth", "best of 4", "best of 1"),
        Difference("prompt_truth", "best of 8", "best of 2"),
    ),
    x_label="samples of each caption",
)
