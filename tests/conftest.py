"""What every test runs under: eight virtual CPU devices and strict broadcasting."""

import copy
import gc
import logging
import os
import subprocess
import threading

import xla_flags

# Before JAX is imported: it reads them once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags.quick_cpu(8)}"
# Tests' processes compile more than they compute, which huge pages make slower.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")

import jax
import pytest
from jax._src import lru_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
# Tracing makes objects by the hundred thousand that live on in JAX's caches: looking through them
# every 700, or 2,000, takes a twentieth of the tests' time.
gc.set_threshold(100_000, *gc.get_threshold()[1:])


def pytest_configure(config):
    """Keep what XLA compiles in pytest's own cache: the second run takes half the time.

    The processes that tests start share it, as most of what they compile has been before.
    """
    if hasattr(config, "cache"):
        folder = str(config.cache.mkdir("xla"))
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        write_whole_cache_files()
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def write_whole_cache_files():
    """Let JAX write each file of its cache in one go, so that all workers can share the folder.

    Without its own limit of the cache's size it takes no locks, and the other worker would read
    half a file.
    """
    put = lru_cache.LRUCache.put

    def put_whole(self, key, value):
        aside = copy.copy(self)
        aside.path = self.path / f"of-{os.getpid()}-{threading.get_ident()}"
        aside.path.mkdir(exist_ok=True)
        put(aside, key, value)
        for file in aside.path.iterdir():
            file.replace(self.path / file.name)

    lru_cache.LRUCache.put = put_whole


def pytest_collection_modifyitems(items):
    """The slow ones first: the last test, during which the other core waits, is a short one."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def the_log_is_nobody_s():
    """A command that ran in this process has taken the log; pytest's own capture needs it."""
    log = logging.getLogger("glide_jax")
    log.setLevel(logging.NOTSET)
    log.propagate = True
    for handler in [*log.handlers]:
        log.removeHandler(handler)


@pytest.fixture
def one_device(monkeypatch):
    """A run on the first device alone: its programs compile in two thirds of the time."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)


@pytest.fixture
def small_disk(tmp_path):
    """A directory on a disk of 16 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)
