"""Where things are kept, and who may make them."""

import errno
import fcntl
import os
import threading
from unittest import mock

import pytest

from glide_jax.cache import NoLocks, cache_folder, lock


def test_the_cache_folder_is_the_variable_s_or_the_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for empty in (
        lambda: monkeypatch.delenv("GLIDE_JAX_CACHE", raising=False),
        lambda: monkeypatch.setenv("GLIDE_JAX_CACHE", ""),
    ):
        empty()
        assert cache_folder() == tmp_path / ".cache" / "glide_jax"
    monkeypatch.setenv("GLIDE_JAX_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


def test_a_lock_is_announced_before_a_wait_and_its_file_locks_nothing(tmp_path, capsys):
    path = tmp_path / ".lock"
    with lock(path, "waiting"):
        assert capsys.readouterr().err == ""
        other = threading.Thread(target=lambda: lock(path, "waiting").__exit__(None, None, None))
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert capsys.readouterr().err == "waiting\n"
    other.join(10)
    assert not other.is_alive()
    path.touch()
    with lock(path, "waiting"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named(number, tmp_path, monkeypatch):
    refuses = mock.Mock(side_effect=OSError(number, os.strerror(number)))
    monkeypatch.setattr(fcntl, "flock", refuses)
    with pytest.raises(NoLocks, match="the file system has no locks"):
        lock(tmp_path / ".lock", "waiting")
