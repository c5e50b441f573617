"""A server that breaks and lies, downloads from it, and released models that are small."""

import dataclasses
import functools
import json
import types

import broken_server
import pytest
from download_toys import checkpoint
from golden.load import HERE
from interop_toys import GOLDEN

from glide_jax.interop import checkpoint_source, fetch, released
from glide_jax.interop.download import download
from glide_jax.interop.families import adm, classifier, clip_image, clip_text, glide, imagen
from glide_jax.interop.released import PublicFile
from glide_jax.models import adm as adm_model
from glide_jax.models import classifier as classifier_model
from glide_jax.models import clip as clip_model
from glide_jax.models import families
from glide_jax.models import glide as glide_model
from glide_jax.models import imagen as imagen_model

BUILT_ONCE = {
    build: functools.lru_cache(build)
    for build in (
        *(adm_model.adm, classifier_model.classifier, glide_model.glide, imagen_model.imagen),
        *(clip_model.clip, clip_model.image_encoder, clip_model.text_encoder),
    )
}
BUILDERS = [
    (module, name, BUILT_ONCE[value])
    for module in (
        families,
        checkpoint_source,
        adm,
        classifier,
        clip_image,
        clip_text,
        glide,
        imagen,
    )
    for name, value in vars(module).items()
    if isinstance(value, types.FunctionType) and value in BUILT_ONCE
]


@pytest.fixture(autouse=True)
def models_are_built_once(monkeypatch):
    """A few small ones are imported again and again, and most of that is to trace their shapes."""
    for module, name, build in BUILDERS:
        monkeypatch.setattr(module, name, build)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(fetch, "BACKOFF_S", 0.001)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with broken_server.serving(checkpoint(0)) as server:
        yield server


@pytest.fixture
def get(server, tmp_path):
    """Download base.pt as an address of its own; returns its content."""

    def get(what=None):
        path = download(what or server.url + "base.pt", cache=tmp_path, progress=False)
        assert path.parent == tmp_path
        assert not list(tmp_path.glob("*.part*"))
        return path.read_bytes()

    return get


@pytest.fixture
def publish(server, monkeypatch):
    """Make base.pt a released file called `base`, of which this is known."""

    def publish(**known):
        file = PublicFile("base", server.url + "base.pt", "glide", **known)
        monkeypatch.setattr(released, "FILES", {"base": file})
        return file

    return publish


@pytest.fixture
def small_releases(monkeypatch):
    """The released models, small: their options are the golden models'."""
    for name, golden in GOLDEN.items():
        options = json.loads((HERE / f"{golden}.manifest.json").read_text())["options"]
        small = dataclasses.replace(released.FILES[name], options=options)
        monkeypatch.setattr(released, "FILES", released.FILES | {name: small})
