"""A CLIP that was trained on noised images beside one that was not."""

from glide_jax.experiments.claim import SHORT, Arm, Claim, Trained
from glide_jax.experiments.measures.sampled import Sampled
from glide_jax.experiments.verdict import Difference

_CLIPS = {"noised": "clip_noised", "not noised": "clip_not_noised"}
_SCALES = (1.0, 2.0)
_SETTINGS = {"sampler": "ddpm", "steps": "50", "guidance_scale": 1.0}
"""As in the claim on guidance."""


def _trained(timesteps: str) -> Trained:
    # A quarter of the training of configs/clip_quickstart.py, for both alike: half an hour else.
    changes = ("stages.clip.training.num_steps=800", f"stages.clip.diffusion.timesteps={timesteps}")
    return Trained("clip_quickstart", changes, own=True)


def _arm(kind: str, scale: float) -> Arm:
    sampled = Sampled("short", _SETTINGS, 1, clip=_CLIPS[kind], clip_scale=scale)
    return Arm(f"{kind}, {scale:g}", sampled, f"{kind} CLIP", scale)


CLAIM = Claim(
    says="Guidance by a CLIP that was trained on noised images makes samples follow their captions "
    "better than guidance by one that was not",
    paper="GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="section 2.4 and appendix D",
    figure="by the eye, samples better than by a public CLIP, which is not noised, and needs no "
    "augmentations; no number",
    trained={
        **SHORT,
        "clip_noised": _trained("uniform"),
        # The same but for the noise.
        "clip_not_noised": _trained("first"),
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
