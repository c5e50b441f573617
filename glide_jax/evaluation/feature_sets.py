"""Features of a set of images and of a reference, computed once however many metrics read them."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.features import FeatureNet
from glide_jax.evaluation.features.collecting import Collected, collect
from glide_jax.evaluation.images.image_set import BATCH, ImageSet
from glide_jax.evaluation.references import Reference
from glide_jax.parallel.collectives import part_of

FOLDER = "features"
"""In the folder of a set of images."""


@dataclasses.dataclass(frozen=True)
class Features:
    """A feature net, and a reference.

    Attributes:
        net: the network.
        outputs: those that the metrics read.
        images: the reference's; None: it has none, or there is no reference.
        file: what else a file of the reference has, statistics or features; None: it is images
            alone, or there is no reference.
        keep: a folder for the features of the reference's images; None: they stay in memory.
    """

    net: FeatureNet
    outputs: tuple[str, ...]
    images: ImageSet | None = None
    file: Reference | None = None
    keep: Path | None = None

    @property
    def reference_name(self) -> str:
        """What people call the reference; "": there is none."""
        if self.file is not None:
            return str(self.file.path)
        return self.images.name if self.images else ""

    @functools.cached_property
    def reference_count(self) -> int | None:
        """Images of the reference; None: its file doesn't say."""
        if self.file is not None and self.file.about.count is not None:
            return self.file.about.count
        return self.images.count if self.images else None

    def check(self, height: int, width: int) -> None:
        """Raise UserError unless images of this size can be held against the reference."""
        if self.file is not None:
            self.file.check(self.net, (height, width))
        if self.images is not None and (self.images.height, self.images.width) != (height, width):
            raise UserError(
                f"the reference {self.images.name} is of images of {self.images.width}×"
                f"{self.images.height}, and the images are {width}×{height}: give a reference of "
                "the same size"
            )

    def moments(self, output: str) -> tuple[np.ndarray, np.ndarray]:
        """The mean, f64[d], and the covariance, f64[d d], of the reference's features.

        Raises:
            UserError: its file has neither those of this output nor images.
        """
        if self.file is not None and output in self.file.statistics:
            return self.file.statistics[output]
        found = self._of_images(output, "statistics")
        return found.mean, found.covariance

    def features(self, output: str) -> np.ndarray:
        """f32[n d], the reference's features.

        Raises:
            UserError: its file has statistics alone.
        """
        if self.file is not None and output in self.file.feature_names:
            return self.file.features(output)
        return self._of_images(output, "features").features

    def _of_images(self, output: str, what: str) -> Collected:
        if self.images is None:
            raise UserError(
                f"the reference {self.reference_name} has no {what} of the output {output!r}, and "
                "no images: give its images, or what `glide-jax reference` makes of them"
            )
        return self._collected[output]

    @functools.cached_property
    def _collected(self) -> dict[str, Collected]:
        assert self.images is not None
        return collected(self, self.images, self.keep)


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
    def of_images(self) -> dict[str, Collected]:
        """Output → that of the images."""
        return collected(self.shared, self.images, self.keep)

    def details(self, output: str) -> dict[str, object]:
        """What a metric's JSON says of the net, the images and the reference."""
        shared = self.shared
        return {
            "net": shared.net.name,
            "resize": shared.net.resize,
            "weights": shared.net.fingerprint,
            "output": output,
            "images": self.of_images[output].count,
            "reference": shared.reference_name,
            "reference_images": shared.reference_count,
        }


def collected(features: Features, images: ImageSet, keep: Path | None) -> dict[str, Collected]:
    """The outputs of a net for a set of images; they are kept under `keep`, by net and outputs."""
    net, outputs = features.net, features.outputs
    folder = None
    if keep is not None:
        name = "-".join([net.name, net.resize, net.fingerprint[:8], *outputs])
        folder = keep / FOLDER / name
    batches = images.batches(BATCH, part_of(images.count))
    return collect(net, batches, outputs, folder)
