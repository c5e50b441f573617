"""A data survey: what a sample of a data set holds, before anybody trains on it."""

import dataclasses
from collections import Counter

import numpy as np

from glide_jax.data import images
from glide_jax.data.source import Source
from glide_jax.errors import a_few


@dataclasses.dataclass(frozen=True)
class Survey:
    """What a sample of a data set holds.

    Attributes:
        count: images in the split.
        classes: see Source.
        read: images of the sample that could be read.
        broken: the errors of those that could not.
        sides: i64[read], each image's shorter side in pixels.
        captions_per_image: i64[sample].
        words_per_caption: i64[captions of the sample].
        repeated: captions that several images of the sample have → how many images.
        shown: (uint8[h w 3], caption) of a few images, evenly spaced over the sample.
    """

    count: int
    classes: tuple[str, ...] | None
    read: int
    broken: list[str]
    sides: np.ndarray
    captions_per_image: np.ndarray
    words_per_caption: np.ndarray
    repeated: Counter[str]
    shown: list[tuple[np.ndarray, str]]

    def lines(self) -> list[str]:
        """Return the survey as lines of text."""
        sampled = self.read + len(self.broken)
        lines = [f"{self.count:,} images; of {sampled:,} sampled, {self.read:,} can be read"]
        lines += [f"  {error}" for error in self.broken[:10]]
        if len(self.broken) > 10:
            lines.append(f"  and {len(self.broken) - 10} more")
        if self.read:
            lines.append(f"shorter side in pixels: {_distribution(self.sides)}")
        words = _distribution(self.words_per_caption) if len(self.words_per_caption) else "none"
        lines.append(
            f"captions per image: {_distribution(self.captions_per_image)}; "
            f"words per caption: {words}"
        )
        if self.classes is not None:
            few = a_few(self.classes)
            lines.append(f"labels: {len(self.classes)} classes ({few})" if few else "labels")
        if self.repeated:
            caption, times = self.repeated.most_common(1)[0]
            kinds = len(self.repeated)
            lines.append(f"captions of several images: {kinds}, such as {times} × {caption!r}")
        return lines


def survey(source: Source, *, sample: int, show: int) -> Survey:
    """Survey a split.

    Args:
        source: the split.
        sample: how many images to read at most, evenly spaced over the split.
        show: how many of them to keep at most.
    """
    indices = np.unique(np.linspace(0, len(source) - 1, min(sample, len(source))).astype(int))
    picks = np.linspace(0, len(indices) - 1, min(show, len(indices))).astype(int)
    kept = set(indices[picks].tolist())
    broken: list[str] = []
    sides: list[int] = []
    shown: list[tuple[np.ndarray, str]] = []
    captions_per_image: list[int] = []
    words_per_caption: list[int] = []
    owners: Counter[str] = Counter()
    for index in indices.tolist():
        captions = source.captions(index)
        captions_per_image.append(len(captions))
        words_per_caption += [len(caption.split()) for caption in captions]
        owners.update(captions)
        try:
            image = source[index].image
        except images.BrokenImage as error:
            broken.append(str(error))
            continue
        sides.append(min(image.shape[:2]))
        if index in kept:
            shown.append((image, captions[0]))
    repeated = Counter({caption: n for caption, n in owners.items() if n > 1})
    return Survey(
        count=len(source),
        classes=source.classes,
        read=len(sides),
        broken=broken,
        sides=np.array(sides, np.int64),
        captions_per_image=np.array(captions_per_image, np.int64),
        words_per_caption=np.array(words_per_caption, np.int64),
        repeated=repeated,
        shown=shown,
    )


def _distribution(numbers: np.ndarray) -> str:
    low, median, high = numbers.min(), int(np.median(numbers)), numbers.max()
    return f"{low}" if low == high else f"{low} to {high}, median {median}"
