"""A public file is fetched once, completely and checked; or one line says why not."""

import contextlib
import hashlib
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from broken_server import breaks_after
from download_toys import HALF, checkpoint, fails, has_arrived, ranges, wait_for

from glide_jax.errors import UserError
from glide_jax.interop.download import download

ROOT = Path(__file__).parents[2]


def test_a_file_is_fetched_once(server, get, capfd):
    assert get() == get() == server.body
    assert ranges(server) == [None]
    assert capfd.readouterr() == ("", "")


def test_the_cache_folder_is_the_one_that_the_variable_names(
    server, publish, tmp_path, monkeypatch, capfd
):
    publish()
    monkeypatch.setenv("GLIDE_JAX_CACHE", str(tmp_path / "new" / "folder"))
    assert download("base") == tmp_path / "new" / "folder" / "base.pt"
    shown = capfd.readouterr().err
    assert "base.pt: 300k of 300k bytes" in shown
    assert "/s, 0:00 left" in shown


def test_files_of_one_name_at_two_addresses_do_not_meet(server, get, tmp_path):
    one, other = (server.url + folder + "/base.pt?x=/y" for folder in ("one", "other"))
    assert get(one) == server.body
    server.body = checkpoint(1)
    assert get(other) == server.body
    assert get(one) != server.body


def test_size_and_digest_that_are_known_are_held_to(server, get, publish):
    right = {
        "size": len(server.body),
        "digest": f"sha256:{hashlib.sha256(server.body).hexdigest()}",
    }
    publish(**right | {"size": 7})
    fails(get, f"server's file has {len(server.body):,} bytes, not 7", what="base")
    publish(**right | {"digest": "sha256:" + 64 * "0"})
    fails(get, "its sha256 is", what="base")
    publish(**right)
    assert get("base") == get(server.url + "base.pt") == server.body
    assert len(server.asked) == 3


def test_a_file_put_there_by_hand_is_checked_and_taken(server, get, publish, tmp_path):
    publish(size=len(server.body), digest=f"md5:{hashlib.md5(server.body).hexdigest()}")
    path = tmp_path / "base.pt"
    for wrong, reason in [(b"<html>", "web page"), (server.body[:HALF], "150,000 bytes")]:
        path.write_bytes(wrong)
        fails(get, reason, str(path), server.url, what="base")
    path.write_bytes(server.body)
    assert get("base") == server.body
    path.write_bytes(checkpoint(1))
    fails(get, "its md5 is", what="base")
    assert server.asked == []


def test_a_file_that_was_checked_is_not_read_again(server, get, publish, monkeypatch):
    publish()
    get("base")
    monkeypatch.setattr("glide_jax.interop.contents.integrity_error", lambda *_: "it was looked at")
    assert get("base") == server.body


def test_offline_says_what_to_put_where(get, publish, tmp_path, monkeypatch):
    file = publish()
    tries = []

    def no_network(*args, **kwargs):
        tries.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    fails(get, "Name or service", file.url, str(tmp_path / "base.pt"), what="base")
    assert len(tries) == 1


def test_a_folder_that_can_not_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        download(server.url + "base.pt", cache=tmp_path / "file", progress=False)


@contextlib.contextmanager
def process(url, folder, log):
    """A download in a process of its own."""
    code = "import sys, pathlib; from glide_jax.interop.download import download as d; "
    code += "d(sys.argv[1], cache=pathlib.Path(sys.argv[2]))"
    with log.open("w") as stderr:
        command = [sys.executable, "-c", code, url, str(folder)]
        running = subprocess.Popen(command, cwd=ROOT, stderr=stderr)
        try:
            yield running
        finally:
            running.kill()
            running.wait()


def test_of_two_processes_one_fetches(server, get, tmp_path):
    url, logs = server.url + "base.pt", [tmp_path / "log0", tmp_path / "log1"]
    both_are_there = threading.Event()

    def waits_for_both(server, request):
        both_are_there.wait(20)
        server.honest(request)

    server.plan = [waits_for_both]
    with process(url, tmp_path, logs[0]) as one, process(url, tmp_path, logs[1]) as other:
        wait_for(lambda: any("another process" in log.read_text() for log in logs))
        both_are_there.set()
        assert (one.wait(20), other.wait(20)) == (0, 0)
    assert get() == server.body
    assert len(server.asked) == 1


def test_a_killed_process_leaves_what_it_had_and_no_lock(server, get, tmp_path):
    done = threading.Event()

    def stalls(server, request):
        breaks_after(HALF)(server, request)
        request.wfile.flush()
        done.wait(20)

    server.plan = [stalls]
    with process(server.url + "base.pt", tmp_path, tmp_path / "log"):
        wait_for(lambda: has_arrived(tmp_path))
    done.set()
    assert get() == server.body
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("bas", "did you mean 'base'"),
        ("clip", "fetch each of clip-image, clip-text"),
        ("ftp://host/base.pt", "https://"),
    ],
)
def test_what_names_no_file_is_refused(get, what, reason):
    fails(get, reason, what=what)
