"""The features of many images, and their mean and covariance, in memory that doesn't grow.

batches ─┬─ images seen before ─ features in `keep` ─┬─ Moments, float64 ─→ mean, covariance
         └─ new ones ─ FeatureNet ─ appended there ──┘                 └──→ features, mapped
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax
import numpy as np

from glide_jax.errors import UserError
from glide_jax.evaluation.features.net import FeatureNet
from glide_jax.evaluation.features.store import open_store
from glide_jax.evaluation.images.image_set import BATCH
from glide_jax.evaluation.maths.moments import Moments
from glide_jax.parallel.collectives import gathered


@dataclasses.dataclass(frozen=True)
class Collected:
    """What metrics need of a set of images, of one output of a net.

    Attributes:
        moments: of all images; `count`, `mean` and `covariance` are its.
        features: f32[n d], in the order of the images; mapped, if they were kept in a folder.
    """

    moments: Moments
    features: np.ndarray

    @property
    def count(self) -> int:
        """n, the number of images."""
        return self.moments.count

    @property
    def mean(self) -> np.ndarray:
        """f64[d]. Raises UserError if there is no image."""
        return self.moments.mean

    @property
    def covariance(self) -> np.ndarray:
        """f64[d d], with the divisor n − 1. Raises UserError for fewer than 2 images."""
        return self.moments.covariance


def collect(
    net: FeatureNet,
    batches: Iterable[np.ndarray],
    outputs: Sequence[str],
    keep: Path | None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Collected]:
    """Features of all images, of some outputs of a net.

    With a folder to keep them in, a run that was stopped goes on where it was: images that had the
    same place and pixels before are not computed again. Without one, the features are in memory.

    Each process of a run gives its own part of the images, one part after the other, and gets the
    features of all.

    Args:
        net: of `load_feature_net`.
        batches: u8[b h w 3] each, of any b; the sizes of the images may differ between batches.
            Of several processes, this one's.
        outputs: names of `net.outputs`.
        keep: the folder, made if it is not there; it holds the features of one set of images, in
            a run of several processes in a folder a process.
        on_progress: called with the number of this process's images so far after each batch.

    Returns:
        By output.

    Raises:
        UserError: there is no image, or the net has no such output.
        DiskError: `keep` can't be written.
    """
    if unknown := [name for name in outputs if name not in net.outputs]:
        raise UserError(
            f"the feature net {net.name} has no {', '.join(unknown)}: it has "
            f"{', '.join(net.outputs)}"
        )
    widths = {name: net.outputs[name] for name in outputs}
    moments = {name: Moments(width) for name, width in widths.items()}
    count = 0
    with open_store(keep, net, widths) as store:
        for images in batches:
            known = store.known(count, images)
            rows = store.read(count, count + known)
            if known < len(images):
                found = net(images[known:])
                new = {name: found[name] for name in outputs}
                store.append(images[known:], new)
                rows = {name: np.concatenate([rows[name], new[name]]) for name in outputs}
            for name in outputs:
                moments[name].add(rows[name])
            count += len(images)
            if on_progress is not None:
                on_progress(count)
        features = store.features(count)
    if jax.process_count() > 1:
        features = {name: gathered(np.asarray(features[name])) for name in outputs}
        moments = {name: _moments_of(rows) for name, rows in features.items()}
    if not moments[outputs[0]].count:
        raise UserError("there is no image to evaluate")
    return {name: Collected(moments[name], features[name]) for name in outputs}


def _moments_of(features: np.ndarray) -> Moments:
    """Of all features, added up in the batches of one process, so that they have its bits."""
    moments = Moments(features.shape[1])
    for start in range(0, len(features), BATCH):
        moments.add(features[start : start + BATCH])
    return moments
