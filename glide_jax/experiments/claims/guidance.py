"""GLIDE's table 1: no guidance, CLIP's, classifier-free."""

from glide_jax.experiments.claim import SHARED, SHORT, Arm, Claim
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference, EloDifference

NONE, CLIP, FREE = "none", "CLIP, 2", "classifier-free, 3"
"""CLIP's scale is of the gradient of log p, at which the quickstart's prompt truth was no worse
than at others on captions and a seed that are not measured here; 3 is the quickstart's own."""


def _arm(name: str, guidance_scale: float, clip_scale: float) -> Arm:
    # CLIP's gradient shifts the mean by the variance here, as in GLIDE. DDIM would divide it by
    # the square root of alpha_bar, which next to T is noise alone.
    settings = {"sampler": "ddpm", "steps": "50", "guidance_scale": guidance_scale}
    guided = {"clip": "clip_quickstart", "clip_scale": clip_scale} if clip_scale else {}
    return Arm(name, Sampled("short", settings, num_stages=1, **guided))


CLAIM = Claim(
    says="Samples follow their captions better by CLIP guidance than without guidance, and best "
    "by classifier-free guidance",
    paper="GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="table 1, section 5.2",
    figure="Elo for caption similarity, by people: −106.2 without guidance, 29.3 by CLIP's of "
    "scale 2, 110.9 by classifier-free guidance of scale 3",
    trained={**SHORT, "clip_quickstart": SHARED["clip_quickstart"]},
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=(_arm(NONE, 1.0, 0.0), _arm(CLIP, 1.0, 2.0), _arm(FREE, 3.0, 0.0)),
    scores=("prompt_truth", "respects"),
    comparisons=(
        Difference("prompt_truth", CLIP, NONE),
        Difference("prompt_truth", FREE, CLIP),
        EloDifference("respects", CLIP, NONE, (NONE, CLIP, FREE)),
        EloDifference("respects", FREE, CLIP, (NONE, CLIP, FREE)),
    ),
    elo_by="respects",
)
