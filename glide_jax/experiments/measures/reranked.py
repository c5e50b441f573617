"""The best of several samples of a caption, by CLIP."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from glide_jax.experiments.measures.sampled import Sampled, pixels_of, scores_of_images

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab

_APART = 1000
"""Seeds of the candidates of two seeds are so far from each other."""


@dataclasses.dataclass(frozen=True)
class Reranked:
    """Of so many samples of a caption the one that CLIP scores highest.

    Attributes:
        sampled: how candidates are sampled.
        clip: the workdir of the CLIP.
        candidates: of each caption; 1: any sample, which CLIP has not seen.
    """

    sampled: Sampled
    clip: str
    candidates: int

    @property
    def needs(self) -> tuple[str, ...]:
        """The workdirs of the models and of the CLIP."""
        return (*self.sampled.needs, self.clip)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `scores_of_images` gives of the images that are kept."""
        from glide_jax.evaluation.images.image_set import image_set_of

        prompts = lab.prompts(self.sampled.workdir)
        seeds = [_APART * seed + candidate for candidate in range(self.candidates)]
        images = np.stack([pixels_of(self.sampled.images(lab, one)) for one in seeds])
        score = lab.clip(self.clip).score
        cosines = np.stack([score(prompts.captions, pixels) for pixels in images])
        best = images[cosines.argmax(0), np.arange(len(prompts))]
        return scores_of_images(image_set_of(best, "best"), prompts)
