"""The folder for what is fetched, indexed or compiled once, and then only read."""

import os
from pathlib import Path

CACHE_VARIABLE = "GLIDE_JAX_CACHE"
"""The environment variable that names the folder."""


def cache_folder() -> Path:
    """$GLIDE_JAX_CACHE, or ~/.cache/glide_jax."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/glide_jax").expanduser()
