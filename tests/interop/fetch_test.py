"""A server that breaks, truncates and lies: it ends with the file, or with one line."""

import base64
import gc
import hashlib
import os
import resource
import signal
import socket
import threading

import pytest
from broken_server import breaks_after, ignores_range, says, send
from download_toys import HALF, checkpoint, fails, has_arrived, ranges, wait_for

from glide_jax.errors import UserError
from glide_jax.interop import fetch
from glide_jax.interop.download import download


@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_broken_download_is_resumed(server, get, header):
    server.headers = {"ETag": 'W/"weak"', "Last-Modified": "Thu, 01 Jul 2021 00:00:00 GMT"}
    if header == "ETag":
        server.headers["ETag"] = '"strong"'
    server.plan = [breaks_after(HALF)]
    assert get() == server.body
    assert ranges(server) == [None, f"bytes={HALF}-"]
    assert server.asked[1]["If-Range"] == server.headers[header]


def test_the_next_run_resumes_what_this_one_gave_up(server, get, tmp_path, monkeypatch):
    server.plan = [breaks_after(HALF)] + [says(503)] * fetch.ATTEMPTS
    fails(get, "503", server.url, str(tmp_path))
    assert get() == server.body
    assert ranges(server)[-1] == f"bytes={HALF}-"


def test_what_arrives_resets_the_count_of_failures(server, get):
    def a_little_more(server, request):
        start = int(request.headers["Range"][6:-1])
        rest = {"Content-Range": f"bytes {start}-{len(server.body) - 1}/{len(server.body)}"}
        body = server.body[start:]
        send(request, 206, server.headers | rest, body[:1000], len(body))

    server.plan = [breaks_after(1000)] + [a_little_more] * (3 * fetch.ATTEMPTS)
    assert get() == server.body


def other_version(server, request):
    server.body, server.headers = checkpoint(1), {"ETag": '"2"'}
    server.honest(request)


def other_version_in_spite_of_if_range(server, request):
    del request.headers["If-Range"]
    other_version(server, request)


def goes_on_elsewhere(server, request):
    headers = {"Content-Range": f"bytes 0-{len(server.body) - 1}/{len(server.body)}"}
    send(request, 206, server.headers | headers, server.body)


@pytest.mark.parametrize(
    "second",
    [
        ignores_range,
        other_version,
        other_version_in_spite_of_if_range,
        goes_on_elsewhere,
        says(416),
    ],
)
def test_pieces_of_two_files_are_never_put_together(server, get, second):
    server.plan = [breaks_after(HALF), second]
    # Not a name whose content would be looked at.
    assert get(server.url + "of-no-kind") == server.body


def test_pieces_that_do_not_fit_are_found_and_fetched_anew(server, get):
    def other_bytes_of_the_same_etag(server, request):
        server.body = checkpoint(1)
        server.honest(request)

    server.plan = [breaks_after(HALF), other_bytes_of_the_same_etag]
    assert get() == server.body


def test_nothing_is_resumed_if_versions_can_not_be_distinguished(server, get):
    server.headers = {}
    server.plan = [breaks_after(HALF)]
    assert get() == server.body
    assert ranges(server) == [None, None]


def test_a_server_that_always_ends_early_is_given_up(server, get, tmp_path):
    server.plan = [breaks_after(HALF)] + [
        lambda server, request: send(request, 200, server.headers, server.body[:HALF], 10**6)
    ] * (fetch.ATTEMPTS + 1)
    fails(get, "the connection ended after 150,000 of 1,000,000 bytes", server.url, str(tmp_path))
    assert len(server.asked) == fetch.ATTEMPTS


def test_a_silent_server_is_asked_again(server, get, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.1)
    done = threading.Event()

    def stalls(server, request):
        breaks_after(HALF)(server, request)
        request.wfile.flush()
        done.wait(5)

    server.plan = [stalls]
    assert get() == server.body
    assert ranges(server) == [None, f"bytes={HALF}-"]
    done.set()


def test_a_file_without_a_length_is_taken_as_it_comes(server, get):
    server.headers = {"Content-Length": None}
    assert get() == server.body


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(404), "404"),
        (says(200, b"Sign in", Content_Type="text/html; charset=utf-8"), "sends a web page"),
        (says(200, b"\n<html>Sign in"), "it is a web page"),
        (says(200, b"version https://git-lfs"), "not a PyTorch checkpoint"),
        (says(200, checkpoint(0)[:HALF]), "cut off"),
        (says(200, checkpoint(0), Content_MD5=base64.b64encode(bytes(16)).decode()), "its md5 is"),
    ],
)
def test_what_is_not_the_file_is_refused_and_leaves_nothing(server, get, tmp_path, answer, reason):
    server.plan = [answer] * 10
    fails(get, reason, server.url + "base.pt", str(tmp_path))
    assert len(server.asked) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_in_trouble_is_asked_again_but_not_for_ever(server, get, status):
    server.plan = [says(status)] * (fetch.ATTEMPTS - 1)
    assert get() == server.body
    server.plan = [says(status)] * 10
    fails(get, str(status), what=server.url + "other.pt")
    assert len(server.asked) == 2 * fetch.ATTEMPTS


def test_the_servers_md5_is_kept_for_when_the_rest_comes(server, get):
    right = server.body
    server.headers["Content-MD5"] = base64.b64encode(hashlib.md5(right).digest()).decode()

    def goes_on_damaged(server, request):
        del server.headers["Content-MD5"]
        server.body = right[:-1] + b"?"
        server.honest(request)

    def is_whole(server, request):
        server.body = right
        server.honest(request)

    server.plan = [breaks_after(HALF), goes_on_damaged, is_whole]
    assert get(server.url + "of-no-kind") == right
    assert ranges(server) == [None, f"bytes={HALF}-", None]


def test_azures_md5_of_the_complete_file_is_checked(server, get):
    md5 = base64.b64encode(bytes(16)).decode()
    server.plan = [breaks_after(HALF)]
    server.headers["x-ms-blob-content-md5"] = md5
    get(server.url + "of-no-kind")
    # The header was wrong: the first attempt to go on was refused, the file fetched anew.
    assert ranges(server) == [None, f"bytes={HALF}-", None]


def test_a_server_that_is_down_is_tried_again(get, tmp_path, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/base.pt"
        with pytest.raises(UserError, match="Connection refused"):
            download(url, cache=tmp_path)
    assert capfd.readouterr().err.count("trying again") == fetch.ATTEMPTS - 1


def test_a_full_disk_keeps_what_has_arrived(server, get, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, hard))
    try:
        fails(get, "too full", "what has arrived is kept", "GLIDE_JAX_CACHE")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert get() == server.body
    assert ranges(server) == [None, f"bytes={HALF}-"]


def test_a_disk_without_room_is_named_before_anything_arrives(server, get, monkeypatch):
    free = type(fetch.shutil.disk_usage("/"))(0, 0, len(server.body) - 1)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: free)
    fails(get, "too full")


@pytest.fixture
def ctrl_c_interrupts():
    """Also in a job that a shell runs in the background, which begins with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # An interrupt in a callback of the garbage collector, such as Hypothesis's, is lost.
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_keeps_what_has_arrived(server, get, tmp_path):
    done = threading.Event()

    def interrupts(server, request):
        breaks_after(HALF)(server, request)
        request.wfile.flush()
        wait_for(lambda: has_arrived(tmp_path))
        os.kill(os.getpid(), signal.SIGINT)
        done.wait(5)

    server.plan = [interrupts]
    with pytest.raises(KeyboardInterrupt):
        get()
    done.set()
    assert get() == server.body
    assert ranges(server)[1].startswith("bytes=")
