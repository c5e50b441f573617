"""How a run tokenizes captions."""

from typing import NamedTuple

from glide_jax.text import Tokenizer


class Tokenization(NamedTuple):
    """How a run tokenizes captions.

    Attributes:
        tokenizer: shared by all stages; None: no stage reads captions.
        length: tokens that a caption is padded or cut to.
    """

    tokenizer: Tokenizer | None
    length: int
