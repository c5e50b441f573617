"""The noised CLIP knows images at every level of noise."""

from glide_jax.experiments.claim import SHARED, Arm, Claim
from glide_jax.experiments.measures.retrieved import Retrieved
from glide_jax.experiments.verdict import AtLeast

_AMONG = 64
_LEVELS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)

CLAIM = Claim(
    says="A CLIP that is trained on noised images knows what they show while there is noise on "
    "them: up to three quarters of the noising process it finds an image's caption at least ten "
    "times as often as chance",
    paper="GLIDE, Nichol et al. 2021, arXiv 2112.10741",
    where="sections 2.4 and 4.4",
    figure="no number: CLIP is trained on noised images so that it can guide them. Ten times as "
    "often as chance is this project's threshold",
    trained={"clip_quickstart": SHARED["clip_quickstart"]},
    split="compositional",
    rows=4 * _AMONG,
    seeds=(1, 2, 3),
    arms=tuple(
        Arm(f"t/T {level:g}", Retrieved("clip_quickstart", level, _AMONG), "noised CLIP", level)
        for level in _LEVELS
    ),
    scores=("found",),
    comparisons=tuple(
        AtLeast("found", f"t/T {level:g}", 10 / _AMONG) for level in _LEVELS if level <= 0.75
    ),
    x_label=f"level of the noise, t / T; chance is 1 of {_AMONG}",
)
