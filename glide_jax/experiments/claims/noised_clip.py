"""A CLIP that was trained on noised images beside one that was not."""

from glide_jax.experiments.claim import SHARED, Arm, Claim, Trained
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_CLIPS = {"noised": "clip_quickstart", "not noised": "clip_not_noised"}
_SCALES = (0.5, 1.0, 2.0, 4.0)
_SETTINGS = {"sampler": "ddpm", "steps": "100", "guidance_scale": 1.0}
"""As in the claim on guidance."""


def _arm(kind: str, scale: float) -> Arm:
    sampled = Sampled("quickstart", _SETTINGS, 1, clip=_CLIPS[kind], clip_scale=scale)
    return Arm(f"{kind}, {scale:g}", sampled, f"{kind} CLIP", scale)


CLAIM = Claim(
    says="Guidance by a CLIP that was trained on noised images makes samples follow their captions "
    "better than guidance by one that was not",
    paper="GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="section 2.4",
    figure="no number: public CLIP models, which are not noised, had needed augmentations to guide",
    trained={
        "quickstart": SHARED["quickstart"],
        "clip_quickstart": SHARED["clip_quickstart"],
        # The same but for the noise.
        "clip_not_noised": Trained(
            "clip_quickstart", ("stages.clip.diffusion.timesteps=first",), own=True
        ),
    },
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(_arm(kind, scale) for kind in _CLIPS for scale in _SCALES),
    scores=("prompt_truth", "respects"),
    comparisons=(
        Difference("prompt_truth", "noised, 1", "not noised, 1"),
        Difference("prompt_truth", "noised, 2", "not noised, 2"),
    ),
    x_label="CLIP's scale",
)
