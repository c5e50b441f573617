"""How far a sampler's image is from the one that its equation leads to."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from glide_jax.experiments.measures.sampled import Sampled, pixels_of, scores_of_images

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab


@dataclasses.dataclass(frozen=True)
class Solved:
    """Images of few steps beside those of many, from the same noise.

    Attributes:
        sampled: by few steps.
        solution: by so many steps that more would change nothing that is seen.
    """

    sampled: Sampled
    solution: Sampled

    @property
    def needs(self) -> tuple[str, ...]:
        """The workdirs of both."""
        return tuple(dict.fromkeys((*self.sampled.needs, *self.solution.needs)))

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `Sampled` gives, and `error`, of each image the root of the mean squared distance
        to the solution over its pixels, which are in [-1, 1]."""
        images, exact = (one.images(lab, seed) for one in (self.sampled, self.solution))
        difference = (pixels_of(images).astype(np.float64) - pixels_of(exact)) / 127.5
        error = np.sqrt(np.square(difference).mean((1, 2, 3)))
        return {**scores_of_images(images, lab.prompts(self.sampled.workdir)), "error": error}
