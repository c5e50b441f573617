"""What a data set holds, before anybody trains on it: a sample of it is read."""

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
        count: pictures in all.
        classes: see Source.
        read: pictures of the sample that could be read.
        broken: the errors of those that couldn't.
        sides: i64[read], each picture's shorter side in pixels.
        wordings: i64[sampled], captions of each picture.
        words: i64[captions], words of each caption.
        repeated: captions of the sample that more than one picture has, with how many.
        shown: (uint8[h w 3], caption) of a few, evenly over the sample.
    """

    count: int
    classes: tuple[str, ...] | None
    read: int
    broken: list[str]
    sides: np.ndarray
    wordings: np.ndarray
    words: np.ndarray
    repeated: Counter[str]
    shown: list[tuple[np.ndarray, str]]

    def lines(self) -> list[str]:
        """For people."""
        sampled = self.read + len(self.broken)
        lines = [f"{self.count:,} pictures; of {sampled:,} looked at, {self.read:,} can be read"]
        lines += [f"  {error}" for error in self.broken[:10]]
        if len(self.broken) > 10:
            lines.append(f"  and {len(self.broken) - 10} more")
        if self.read:
            lines.append(f"shorter side in pixels: {_spread(self.sides)}")
        lines.append(f"captions a picture: {_spread(self.wordings)}; words: {_spread(self.words)}")
        if self.classes is not None:
            few = a_few(self.classes)
            lines.append(f"labels: {len(self.classes)} classes ({few})" if few else "labels")
        if self.repeated:
            caption, times = self.repeated.most_common(1)[0]
            kinds = len(self.repeated)
            lines.append(f"captions of several pictures: {kinds}, such as {times} × {caption!r}")
        return lines


def survey(source: Source, *, sample: int, show: int) -> Survey:
    """Look at a data set.

    Args:
        source: a split.
        sample: pictures to read, evenly over all.
        show: pictures to keep.
    """
    places = np.unique(np.linspace(0, len(source) - 1, min(sample, len(source))).astype(int))
    kept = set(places[np.linspace(0, len(places) - 1, min(show, len(places))).astype(int)].tolist())
    broken: list[str] = []
    sides: list[int] = []
    shown: list[tuple[np.ndarray, str]] = []
    wordings: list[int] = []
    words: list[int] = []
    owners: Counter[str] = Counter()
    for place in places.tolist():
        captions = source.captions(place)
        wordings.append(len(captions))
        words += [len(caption.split()) for caption in captions]
        owners.update(captions)
        try:
            image = source[place].image
        except images.BrokenImage as error:
            broken.append(str(error))
            continue
        sides.append(min(image.shape[:2]))
        if place in kept:
            shown.append((image, captions[0]))
    repeated = Counter({caption: n for caption, n in owners.items() if n > 1})
    return Survey(
        count=len(source),
        classes=source.classes,
        read=len(sides),
        broken=broken,
        sides=np.array(sides, np.int64),
        wordings=np.array(wordings, np.int64),
        words=np.array(words, np.int64),
        repeated=repeated,
        shown=shown,
    )


def _spread(numbers: np.ndarray) -> str:
    low, middle, high = numbers.min(), int(np.median(numbers)), numbers.max()
    return f"{low}" if low == high else f"{low} to {high}, half of them {middle} or less"
