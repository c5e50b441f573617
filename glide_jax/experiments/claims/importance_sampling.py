"""Improved DDPM: timesteps by their losses."""

from glide_jax.experiments.claim import Arm, Claim
from glide_jax.experiments.claims.learned_variance import trained
from glide_jax.experiments.measures.gradients import GradientNoise
from glide_jax.experiments.verdict import Difference

_KINDS = {"uniform": "uniform", "by their losses": "loss_second_moment"}

CLAIM = Claim(
    says="Gradients of L_vlb have less noise if timesteps are sampled by their losses than "
    "uniformly",
    paper="Improved DDPM, Nichol & Dhariwal 2021, arXiv 2102.09672",
    where="section 3.3, figure 6",
    figure="a smoother and lower curve of L_vlb; no number",
    trained={"variance_learned": trained("learned")},
    split="test",
    rows=64,
    seeds=(1, 2, 3),
    arms=tuple(
        Arm(kind, GradientNoise("variance_learned", timesteps, batch_size=16))
        for kind, timesteps in _KINDS.items()
    ),
    scores=("gradient_noise",),
    comparisons=(Difference("gradient_noise", "uniform", "by their losses"),),
)
