"""What XLA compiles is kept on disk, so that the second start is quick."""

import os

import jax

from glide_jax.cache import cache_folder

_FOLDER = "jax_compilation_cache_dir"
_MIN_SECONDS = "jax_persistent_cache_min_compile_time_secs"


def keep_compiled() -> None:
    """Turn JAX's cache of compiled programs on, in our cache folder; what a person set stays."""
    if jax.config.values[_FOLDER] is None:
        jax.config.update(_FOLDER, str(cache_folder() / "compiled"))
    # The default keeps only what took a second or more; a start is many smaller ones.
    if _MIN_SECONDS.upper() not in os.environ:
        jax.config.update(_MIN_SECONDS, 0.0)
