"""Prior preservation: a model's own images of a class among those that it is fine-tuned on.

DreamBooth (Ruiz et al. 2022, eq. 2) minimises E_own + λ E_class, where the images of the class were
sampled from the model before: what it knew of the class, it keeps. A loss that is the mean over
images of which a share p are of the class is (1 - p) E_own + p E_class, so λ = p / (1 - p).
"""

import dataclasses
import math

from glide_jax.data.source import Example, Source, checked_index, fingerprint_of


@dataclasses.dataclass(frozen=True)
class WithPrior:
    """A Source of two: its own images and those of the prior, a fixed share of each epoch.

    The fewer are repeated. The first are the own images, and no order is implied: batches are
    shuffled over all.

    Attributes:
        own: what is to be learned.
        prior: what is to be kept.
        share: p in (0, 1), of the images of the prior.
    """

    own: Source
    prior: Source
    share: float

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Those of its own images."""
        return self.own.classes

    @property
    def fingerprint(self) -> str:
        """See Source: of both, and of the share."""
        return fingerprint_of([self.own.fingerprint, self.prior.fingerprint, repr(self.share)])

    @property
    def is_far(self) -> bool:
        """See Source: of either."""
        return any(getattr(source, "is_far", False) for source in (self.own, self.prior))

    @property
    def of_prior(self) -> int:
        """How many images of an epoch are of the prior, repetitions included."""
        return max(1, round(len(self) * self.share))

    def __len__(self) -> int:
        least = max(len(self.own) / (1 - self.share), len(self.prior) / self.share)
        return max(2, math.ceil(least - 1e-9))

    def __getitem__(self, i: int) -> Example:
        source, index = self._place(i)
        return source[index]

    def captions(self, i: int) -> tuple[str, ...]:
        """Return the captions of image i without decoding it."""
        source, index = self._place(i)
        return source.captions(index)

    def _place(self, i: int) -> tuple[Source, int]:
        index, count = checked_index(i, len(self)), len(self) - self.of_prior
        if index < count:
            return self.own, index % len(self.own)
        return self.prior, (index - count) % len(self.prior)
