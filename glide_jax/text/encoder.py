"""The TextEncoder interface: captions as the frozen embeddings that a model is conditioned on.

A model with a text transformer of its own, as GLIDE's, reads tokens. One that is trained on a
frozen encoder, as Imagen (Saharia et al. 2022), reads the encoder's output, which is computed once
per caption and never in a train step.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np


class TextEmbedding(NamedTuple):
    """Captions, encoded.

    Attributes:
        embedding: f32 or bf16[b l d], the encoder's last hidden state at every position, padding
            included.
        mask: bool[b l], True where a token is the caption's, the encoder's own special tokens
            included.
        cut: bool[b], True where the caption was too long and its end was cut off.
    """

    embedding: np.ndarray
    mask: np.ndarray
    cut: np.ndarray


class TextEncoder(Protocol):
    """A frozen encoder of captions. The same caption always gives the same embedding.

    Attributes:
        fingerprint: of its weights and tokenizer, hexadecimal: what says that two embeddings are
            of the same encoder.
        name: what it is, for people, such as `t5-v1_1-xxl`.
        width: d, channels of its embeddings.
    """

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    def encode(self, captions: Sequence[str], length: int) -> TextEmbedding:
        """Encode any captions, each cut or padded to `length` tokens; "" is the null caption.

        Raises:
            UserError: it can't encode these, or so many tokens.
        """
        ...
