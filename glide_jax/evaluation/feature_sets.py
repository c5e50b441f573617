"""Features of a set of images and of a reference, computed once however many metrics read them."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from glide_jax.evaluation.images.image_set import BATCH, ImageSet

if TYPE_CHECKING:
    from glide_jax.evaluation.features import FeatureNet
    from glide_jax.evaluation.features.collecting import Collected

FOLDER = "features"
"""In the folder of a set of images."""


@dataclasses.dataclass(frozen=True)
class Features:
    """A feature net, and a reference.

    Attributes:
        net: the network.
        outputs: those that the metrics read.
        reference: the images that others are compared with; None: no metric needs them.
        keep: a folder for the reference's features; None: they stay in memory.
    """

    net: "FeatureNet"
    outputs: tuple[str, ...]
    reference: ImageSet | None
    keep: Path | None

    @functools.cached_property
    def of_reference(self) -> "dict[str, Collected]":
        """Output → the reference's."""
        assert self.reference is not None
        return collected(self, self.reference, self.keep)


@dataclasses.dataclass(frozen=True)
class FeatureSets:
    """The features of a set of images, beside those of the reference.

    Attributes:
        shared: the net and the reference.
        images: the set.
        keep: a folder for its features; None: they stay in memory.
    """

    shared: Features
    images: ImageSet
    keep: Path | None

    @functools.cached_property
    def of_images(self) -> "dict[str, Collected]":
        """Output → that of the images."""
        return collected(self.shared, self.images, self.keep)


def collected(features: Features, images: ImageSet, keep: Path | None) -> "dict[str, Collected]":
    """The outputs of a net for a set of images."""
    from glide_jax.evaluation.features.collecting import collect

    folder = keep and keep / FOLDER / f"{features.net.fingerprint[:12]}-{images.fingerprint[:12]}"
    return collect(features.net, images.batches(BATCH), features.outputs, folder)
