"""Where things are kept."""

from glide_jax.cache import cache_folder


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
