"""Bits per dimension of held-out images."""

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab

from glide_jax.experiments.measures.sampled import Sampled


@dataclasses.dataclass(frozen=True)
class Coded:
    """What the rows' images cost under a base model, and the samples that it makes.

    Attributes:
        sampled: how it is sampled; the cost is of every step of the noising process.
    """

    sampled: Sampled

    @property
    def needs(self) -> tuple[str, ...]:
        """The model's workdir."""
        return self.sampled.needs

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `Sampled` gives, and `bits_per_dim` of each image, see `metrics.bits_per_dim`."""
        from glide_jax.evaluation.metrics.bits_per_dim import Images, bits_of

        stage = lab.pipeline(self.sampled.workdir).stages[0]
        subjects = lab.prompts(self.sampled.workdir).subjects
        pixels = lab.pixels(self.sampled.workdir, stage.image_size)
        bits = bits_of(stage, Images(pixels, subjects, 0), seed, None)
        return {**self.sampled.scores(lab, seed), "bits_per_dim": bits.total}
