"""Images of the data set, reduced and enlarged again by an upsampler."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from glide_jax.experiments.measures.edited import edited
from glide_jax.experiments.measures.sampled import scores_of_images

if TYPE_CHECKING:
    from glide_jax.experiments.claim import Scores
    from glide_jax.experiments.lab import Lab
    from glide_jax.sampling.request import SampleRequest, Subject


@dataclasses.dataclass(frozen=True)
class Enlarged:
    """The rows' images, enlarged from what an upsampler takes to what it makes.

    Attributes:
        workdir: the name of the upsampler's.
        settings: that differ from its config's.
    """

    workdir: str
    settings: Mapping[str, Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """The model's workdir."""
        return (self.workdir,)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `scores_of_images` gives, and `distance`.

        That is the root of the mean squared distance to the true image, whose pixels are in
        [-1, 1].
        """
        from glide_jax.evaluation.images.image_set import image_set_of

        stages = lab.pipeline(self.workdir).stages
        true = lab.pixels(self.workdir, stages[-1].image_size)
        images = self._images(lab, seed, true)
        difference = (images.astype(np.float64) - true) / 127.5
        return {
            **scores_of_images(image_set_of(images, "enlarged"), lab.prompts(self.workdir)),
            "distance": np.sqrt(np.square(difference).mean((1, 2, 3))),
        }

    def _images(self, lab: "Lab", seed: int, true: np.ndarray) -> np.ndarray:
        from glide_jax.sampling.tasks import Wanted, upsample_request

        pipeline = lab.pipeline(self.workdir)

        def request_of(i: int, subject: "Subject") -> "SampleRequest":
            wanted = Wanted([subject], 1, seed, self.settings)
            return upsample_request(pipeline.stages, true[i], wanted)

        return edited(pipeline, lab.prompts(self.workdir), request_of)
