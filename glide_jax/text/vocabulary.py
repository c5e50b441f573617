"""CLIP's vocabulary: a public file in the cache folder, verified by its hash."""

import hashlib

from glide_jax.cache import cache_folder
from glide_jax.errors import UserError

CLIP_FILE = "bpe_simple_vocab_16e6.txt.gz"
"""Its name in the cache folder, and in the folder `clip` of github.com/openai/CLIP."""

CLIP_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"


def read_clip_file() -> bytes:
    """The content of CLIP_FILE, gzipped as published.

    Raises:
        UserError: it is missing, unreadable, or has another hash.
    """
    path = cache_folder() / CLIP_FILE
    remedy = f"run `glide-jax download clip-vocab`, or put {CLIP_FILE} of openai/CLIP there"
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"CLIP's vocabulary, {path}, can't be read ({reason}); {remedy}") from error
    if hashlib.sha256(content).hexdigest() != CLIP_SHA256:
        raise UserError(f"{path} is damaged, or not CLIP's vocabulary; delete it, then {remedy}")
    return content
