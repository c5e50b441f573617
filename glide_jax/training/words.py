"""How a run reads captions."""

from typing import NamedTuple

from glide_jax.text import Tokenizer


class Words(NamedTuple):
    """How a run reads captions.

    Attributes:
        tokenizer: of all its stages; None: none of them is told a caption.
        length: tokens a caption is padded or cut to.
    """

    tokenizer: Tokenizer | None
    length: int
