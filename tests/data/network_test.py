"""Data sets from the network where there is none: one line, in seconds, and no retries."""

import http.server
import socket
import sys
import threading
import time
from typing import Any

import pytest
from tensorflow_datasets.core.download import download_manager

from glide_jax import data
from glide_jax.data import huggingface, named_tfds, network
from glide_jax.errors import UserError

PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture
def refusing_port():
    """A port where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def no_proxy(monkeypatch):
    for name in (*PROXIES, "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(network, "_PAUSE_S", 0.0)


@pytest.fixture
def no_network(no_proxy, refusing_port, monkeypatch):
    """All requests go to a proxy that refuses them."""
    for name in PROXIES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{refusing_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


class _Refusals(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(404)

    def log_message(self, format, *args):
        pass


def test_a_server_that_refuses_is_there(no_proxy):
    with http.server.HTTPServer(("127.0.0.1", 0), _Refusals) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert network.unreachable(f"http://127.0.0.1:{server.server_port}/a/b.tar") == ""
        finally:
            server.shutdown()
            thread.join()


def test_nobody_there(no_proxy, refusing_port):
    address = f"127.0.0.1:{refusing_port}"
    expected = f"{address} can't be reached: Connection refused"
    assert network.unreachable(f"http://{address}/a") == expected


def test_nobody_answers(no_proxy, monkeypatch):
    monkeypatch.setattr(network, "TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert "can't be reached" in network.unreachable(url)


def test_a_server_whose_first_answer_is_lost_is_there(no_proxy, monkeypatch):
    monkeypatch.setattr(network, "_SECOND_AFTER_S", 0.05)
    attempts = []

    def ask(url):
        attempts.append(url)
        if len(attempts) == 1:
            time.sleep(1)
            return "timed out"
        return ""

    monkeypatch.setattr(network, "_ask", ask)
    start = time.monotonic()
    assert network.unreachable("http://a.org/b") == ""
    assert time.monotonic() - start < 0.9


def test_silence_is_known_in_less_than_eight_seconds(no_proxy, monkeypatch):
    assert network.TIMEOUT_S < 8
    monkeypatch.setattr(network, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(network, "_ask", lambda url: time.sleep(2) or "timed out")
    start = time.monotonic()
    assert network.unreachable("http://a.org/b") == "a.org can't be reached: no answer in 0.3 s"
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("url", ["", "photos", "gs://bucket/a.tar", "/tmp/http:/a"])
def test_what_is_not_of_the_web_is_not_asked(url, no_network):
    assert network.unreachable(url) == ""


def test_a_proxy_that_urllib_does_not_know_is_not_judged(no_network, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert network.unreachable("https://huggingface.co") == ""


@pytest.mark.parametrize(
    ("name", "path", "host"),
    [
        pytest.param("tfds/mnist", "", "storage.googleapis.com", id="tfds"),
        pytest.param("huggingface/no/such", "", "huggingface.co", id="huggingface"),
        pytest.param("huggingface", "https://a.org/b.parquet", "a.org", id="parquet"),
        pytest.param("huggingface", "hf://datasets/a/b/c.parquet", "huggingface.co", id="hf"),
        pytest.param("webdataset", "https://a.org/{00..99}.tar", "a.org", id="webdataset"),
    ],
)
def test_without_a_network_it_is_one_line_in_seconds(
    name, path, host, no_network, tmp_path, monkeypatch, capfd
):
    if name.startswith("huggingface"):
        pytest.importorskip("datasets")
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"{host} can't be reached: .*; connect to") as caught:
        data.prepare(name, path)
    assert time.monotonic() - start < 10
    assert "\n" not in str(caught.value)
    assert "etrying" not in "".join(capfd.readouterr())


def test_the_hub_is_left_as_it_was(no_network, tmp_path):
    datasets = pytest.importorskip("datasets")
    from huggingface_hub import constants

    with pytest.raises(UserError):
        data.prepare("huggingface/no/such", str(tmp_path))
    assert not constants.HF_HUB_OFFLINE
    assert not datasets.config.HF_HUB_OFFLINE


def test_what_is_cached_needs_no_network(no_network, monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load_dataset(name, **_):
        assert datasets.config.HF_HUB_OFFLINE
        return name

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert huggingface._loaded("of/mine", "", "train") == "of/mine"


def test_without_the_extra_the_line_names_it(no_network, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"needs the package datasets.*glide_jax\[huggingface\]"):
        data.prepare("huggingface/no/such", "")


def test_tfds_downloads_where_the_server_answers(monkeypatch):
    class Downloader:
        def download(self, url, *_):
            return f"got {url}"

    module: Any = download_manager
    monkeypatch.setattr(module, "get_downloader", Downloader)
    monkeypatch.setattr(named_tfds, "unreachable", lambda url: "gone" if "away" in url else "")
    with named_tfds._unreachable_servers_refused():
        assert module.get_downloader().download("https://here/a", "path") == "got https://here/a"
        with pytest.raises(UserError, match="gone"):
            module.get_downloader().download("https://away/a", "path")
    assert module.get_downloader is Downloader
