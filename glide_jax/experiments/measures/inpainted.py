"""Images of the data set of which a square was repainted."""

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

_ROUNDING = 1
"""Of 255, what the way to [-1, 1] and back may change."""


@dataclasses.dataclass(frozen=True)
class Inpainted:
    """The rows' images, of each of which a square of three quarters of the side is repainted.

    Where the square is depends on the row alone.

    Attributes:
        workdir: the name of the base model's.
        settings: that differ from its config's; its `inpaint_sampler` samples.
    """

    workdir: str
    settings: Mapping[str, Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """The model's workdir."""
        return (self.workdir,)

    def scores(self, lab: "Lab", seed: int) -> "Scores":
        """What `scores_of_images` gives, and of the square.

        Returns:
            `border`: how much the jumps of brightness across the square's border differ from those
            of the true image, a root mean square of values in [-1, 1]; `kept`: 1 where every value
            outside is the true one to 1/255.
        """
        from glide_jax.evaluation.images.image_set import image_set_of

        stages = lab.pipeline(self.workdir).stages[:1]
        true = lab.pixels(self.workdir, stages[0].image_size)
        masks = squares(len(true), stages[0].image_size)
        images = self._images(lab, seed, true, masks)
        apart = np.abs(images.astype(int) - true).max(-1)
        kept = (np.where(masks, 0, apart) <= _ROUNDING).all((1, 2))
        return {
            **scores_of_images(image_set_of(images, "inpainted"), lab.prompts(self.workdir)),
            "border": border_error(images, true, masks),
            "kept": kept.astype(np.float64),
        }

    def _images(self, lab: "Lab", seed: int, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
        from glide_jax.sampling.pipeline import Pipeline
        from glide_jax.sampling.tasks import Wanted, inpaint_request

        stages = lab.pipeline(self.workdir).stages[:1]

        def request_of(i: int, subject: "Subject") -> "SampleRequest":
            wanted = Wanted([subject], 1, seed, self.settings)
            return inpaint_request(stages, true[i], masks[i], None, wanted)

        return edited(Pipeline(stages), lab.prompts(self.workdir), request_of)


def squares(count: int, size: int) -> np.ndarray:
    """bool[count size size]: of each row a square of three quarters of the side, True inside."""
    masks, side = np.zeros((count, size, size), bool), 3 * size // 4
    for i in range(count):
        top, left = np.random.default_rng(i).integers(0, size - side + 1, 2)
        masks[i, top : top + side, left : left + side] = True
    return masks


def border_error(images: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How much the jumps across the squares' borders differ from the true ones.

    Args:
        images, true: uint8[n h w 3].
        masks: bool[n h w], True inside.

    Returns:
        f64[n]: the root of the mean square over all pairs of neighbours of which one is inside.
    """
    difference = (images.astype(np.float64) - true) / 127.5
    total, pairs = np.zeros(len(images)), np.zeros(len(images))
    for axis in (1, 2):
        crossing = np.diff(masks.astype(int), axis=axis) != 0
        jumps = np.square(np.diff(difference, axis=axis)).mean(-1)
        total += np.where(crossing, jumps, 0).sum((1, 2))
        pairs += crossing.sum((1, 2))
    return np.sqrt(total / pairs)
