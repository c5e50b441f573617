"""The stores that the tests of buckets run on."""

import object_store
import pytest


@pytest.fixture(scope="module", params=object_store.STORES)
def running(request):
    with object_store.STORES[request.param]() as store:
        yield store


@pytest.fixture
def store(running, monkeypatch):
    """A store that works, with an empty bucket."""
    with object_store.used(running, monkeypatch):
        yield running
