"""Caption readers: captions as the arrays that a model is conditioned on, whatever they are.

A model with a text transformer of its own reads tokens; one that is trained on a frozen encoder
reads that encoder's embeddings. Nobody outside this module needs to know which.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import ml_dtypes
import numpy as np

from glide_jax.text.encoder import TextEncoder
from glide_jax.text.tokenizer import Tokenizer, tokenize

FROZEN_ENCODER = "frozen_encoder"
"""The `kind` of an EmbeddingReader's `to_dict`; the others are a tokenizer's."""


class CaptionArrays(NamedTuple):
    """Captions, ready for a model.

    Attributes:
        arrays: [b …] by the name of their field of `types.Condition`.
        cut: bool[b], True where the caption was too long and its end was cut off.
    """

    arrays: dict[str, np.ndarray]
    cut: np.ndarray


class CaptionReader(Protocol):
    """Captions to arrays; picklable.

    Attributes:
        length: l, tokens that a caption is padded or cut to.
        vocab_size: number of token ids; 0: the model reads embeddings.
    """

    @property
    def length(self) -> int: ...  # noqa: D102

    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    def read(self, captions: Sequence[str]) -> CaptionArrays:
        """Read any captions; "" is the null caption. Raises UserError where it can't."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint says of it, JSON-compatible, with its `kind`."""
        ...


@dataclasses.dataclass(frozen=True)
class TokenReader:
    """Captions to i32 `tokens` and bool `mask`, [b l] each; see `CaptionReader`."""

    tokenizer: Tokenizer
    length: int

    @property
    def vocab_size(self) -> int:
        """Number of token ids."""
        return self.tokenizer.vocab_size

    def read(self, captions: Sequence[str]) -> CaptionArrays:
        """See `tokenize`."""
        tokens, mask, cut = tokenize(self.tokenizer, captions, self.length)
        return CaptionArrays({"tokens": tokens, "mask": mask}, cut)

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer's."""
        return self.tokenizer.to_dict()


@dataclasses.dataclass(frozen=True)
class EmbeddingReader:
    """Captions to `text_embedding`, bf16[b l d], and bool[b l] `mask`; see `CaptionReader`.

    Attributes:
        encoder: the frozen encoder, or what it has encoded.
        length: l.
        padding: whether the model also reads the encoder's output at padding, as DeepFloyd IF
            does; if not, it is 0 there.
    """

    encoder: TextEncoder
    length: int
    padding: bool

    @property
    def vocab_size(self) -> int:
        """0: the model has no token embedding."""
        return 0

    def read(self, captions: Sequence[str]) -> CaptionArrays:
        """See `TextEncoder.encode`."""
        embedding, mask, cut = self.encoder.encode(captions, self.length)
        # As they are stored, so that a caption's embedding is the same, stored or not.
        embedding = embedding.astype(ml_dtypes.bfloat16)
        if not self.padding:
            embedding = np.where(mask[..., None], embedding, np.zeros((), embedding.dtype))
        return CaptionArrays({"text_embedding": embedding, "mask": mask}, cut)

    def to_dict(self) -> dict[str, Any]:
        """Which encoder it is."""
        return {
            "kind": FROZEN_ENCODER,
            "encoder": self.encoder.name,
            "width": self.encoder.width,
            "fingerprint": self.encoder.fingerprint,
        }
