"""Global state of the process: JAX's devices and compilation cache, and who may print.

The commands set it, before JAX starts its devices. The library neither sets it when it is imported
nor when it loads a model: in a notebook or another program it is the caller's.
"""

import contextlib
import logging
import os
import sys
from typing import Any

import jax

from glide_jax import checkpoints
from glide_jax.cache import cache_folder

_CACHE_FOLDER = "jax_compilation_cache_dir"
_CACHE_MIN_SECONDS = "jax_persistent_cache_min_compile_time_secs"


def configure(cpu_devices: int) -> None:
    """All of it, as the commands want it.

    Args:
        cpu_devices: of `Experiment`, for `split_cpu`.
    """
    show_notes()
    enable_compilation_cache()
    split_cpu(cpu_devices)
    quiet_checkpoint_errors()


def enable_compilation_cache() -> None:
    """Keep what XLA compiles in our cache folder, so that the second start compiles nothing.

    A folder or a threshold that the environment or the caller has set stays.
    """
    if jax.config.values[_CACHE_FOLDER] is None:
        jax.config.update(_CACHE_FOLDER, str(cache_folder() / "compiled"))
    # JAX's default leaves out what compiles in less than a second; a start has many such programs.
    if _CACHE_MIN_SECONDS.upper() not in os.environ:
        jax.config.update(_CACHE_MIN_SECONDS, 0.0)


def split_cpu(count: int) -> None:
    """Divide the CPU into devices, unless JAX has started or XLA_FLAGS give their number.

    Args:
        count: devices, 1 or more; the cores are shared out among them.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if count == 1 or "xla_force_host_platform_device_count" in flags:
        return
    with contextlib.suppress(RuntimeError):  # JAX has started, in a notebook for example
        jax.config.update("jax_num_cpu_devices", count)
        # Each device's operations keep to its own thread: two that share a pool block each other.
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def quiet_checkpoint_errors() -> None:
    """Silence Orbax's and TensorStore's own reports of a failed save; ours is one line."""
    checkpoints.quiet_background_errors()


def show_notes() -> None:
    """Print the log of glide_jax's own modules to stdout, from INFO up."""
    log = logging.getLogger("glide_jax")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not any(isinstance(handler, _Stdout) for handler in log.handlers):
        log.addHandler(_Stdout())


class _Stdout(logging.StreamHandler):
    """Writes to the sys.stdout of the moment, which a process of several may have replaced."""

    def __init__(self):
        super().__init__(sys.stdout)

    @property
    def stream(self) -> Any:
        return sys.stdout

    @stream.setter
    def stream(self, stream: Any) -> None:
        del stream
