"""Images sampled for captions, and what is scored of each."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from glide_jax.evaluation.images.image_set import ImageSet
    from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Images that models sample for the rows' captions.

    Attributes:
        workdir: the name of theirs.
        settings: that differ from its config's.
        num_stages: how many of its stages sample, from the first.
        clip: the workdir of a noised CLIP that guides; "": none does.
        clip_scale: of its gradient.
    """

    workdir: str
    settings: Mapping[str, Any]
    num_stages: int
    clip: str = ""
    clip_scale: float = 0.0

    @property
    def needs(self) -> tuple[str, ...]:
        """The workdirs of the models and of the guide."""
        return (self.workdir, self.clip) if self.clip else (self.workdir,)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `scores_of_images` gives."""
        return scores_of_images(self.images(lab, seed), lab.prompts(self.workdir))

    def images(self, lab: "Lab", seed: int, prompts: "PromptSet | None" = None) -> "ImageSet":
        """The images of the rows, or of other prompts."""
        from glide_jax.experiments.lab import CLIP_SCALE, LedBy

        return lab.generate(
            self.workdir,
            self.settings,
            seed,
            prompts or lab.prompts(self.workdir),
            num_stages=self.num_stages,
            led_by=LedBy(CLIP_SCALE, self.clip, self.clip_scale) if self.clip else None,
        )


def scores_of_images(images: "ImageSet", prompts: "PromptSet") -> dict[str, np.ndarray]:
    """What the data set's scorer says of images.

    Args:
        images: n of them.
        prompts: what each is to show.

    Returns:
        `prompt_truth`: 1 where an image shows all that its caption asserts; `respects`: which share
        of what is asserted (colours, shapes, a relation, sizes, a background) is right;
        `saturated`: the share of the red, green and blue values of its pixels that are -1 or 1.
    """
    from glide_jax.evaluation.metrics.prompt_truth import NAME, scores_of

    found = scores_of(images, prompts)
    respects = np.stack([values for name, values in found.items() if name != NAME])
    pixels = pixels_of(images)
    return {
        "prompt_truth": found[NAME],
        "respects": np.nanmean(respects, 0),
        "saturated": ((pixels == 0) | (pixels == 255)).mean((1, 2, 3)),
    }


def pixels_of(images: "ImageSet") -> np.ndarray:
    """uint8[n h w 3]."""
    from glide_jax.evaluation.images.image_set import BATCH

    return np.concatenate(list(images.batches(BATCH)))
