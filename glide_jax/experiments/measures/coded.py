"""Bits per dimension of held-out images."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab

from glide_jax.experiments.measures.sampled import Sampled


@dataclasses.dataclass(frozen=True)
class Coded:
    """What the rows' images cost under a base model, and the samples that it makes.

    Attributes:
        sampled: how it is sampled.
        images: how many images are coded, the first ones: by every step of the noising process.
    """

    sampled: Sampled
    images: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The model's workdir."""
        return self.sampled.needs

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `Sampled` gives, and `bits_per_dim`, see `metrics.bits_per_dim`.

        It is NaN of images that are not coded.
        """
        from glide_jax.evaluation.metrics.bits_per_dim import Images, bits_of

        stage = lab.pipeline(self.sampled.workdir).stages[0]
        subjects = lab.prompts(self.sampled.workdir).subjects
        pixels = lab.pixels(self.sampled.workdir, stage.image_size)[: self.images]
        coded = Images(pixels, subjects[: self.images], 0)
        bits = np.full(lab.rows, np.nan)
        bits[: len(pixels)] = bits_of(stage, coded, seed, None).total
        return {**self.sampled.scores(lab, seed), "bits_per_dim": bits}
