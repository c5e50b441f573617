import pytest
from shard_toys import forget, write_shards

from glide_jax.data import remote


@pytest.fixture
def shard_cache(tmp_path, monkeypatch):
    """An empty cache folder, and no waiting for servers."""
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "RETRY_PAUSES_S", (0.0,))
    forget()


@pytest.fixture
def shards(tmp_path):
    """Two shards of three images each."""
    return write_shards(tmp_path / "shards", 2, 3)
