"""Tar shards of a few images, and servers on loopback that have them."""

import http.server
import re
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from data_toys import write_shard

from glide_jax import data
from glide_jax.data import Example
from glide_jax.data.shards import index_of, shards_of


def write_shards(folder, count, images):
    """Shards of so many images each, image i all i."""
    folder.mkdir()
    for shard in range(count):
        first = images * shard
        some = [
            Example(np.full((8, 8, 3), i, np.uint8), (f"image {i}", f"number {i}"), {})
            for i in range(first, first + images)
        ]
        write_shard(folder / f"{shard:05}.tar", some, first)
    return folder


def forget():
    """As a process that starts."""
    shards_of.cache_clear()
    index_of.cache_clear()


def opened(path, name="webdataset", split="train"):
    return data.open_source(name, str(path), split)


def levels(source):
    return [int(source[i].image[0, 0, 0]) for i in range(len(source))]


class Ranges(http.server.SimpleHTTPRequestHandler):
    """A server that knows ranges, and fails now and then."""

    failures = 0

    def do_GET(self):
        content = (self.server.folder / self.path.strip("/")).read_bytes()
        if Ranges.failures:
            Ranges.failures -= 1
            self.send_error(503)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, len(content))
        end = min(end, len(content))
        self.send_response(206 if asked else 200)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(content[start:end])

    def do_HEAD(self):
        size = (self.server.folder / self.path.strip("/")).stat().st_size
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, *words):
        pass


@contextmanager
def serving(folder, handler, port=0):
    """A server's URL, while it runs."""
    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.folder = folder
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Down(Ranges):
    """Answers 503 to everything asked of some paths."""

    paths = frozenset()

    def do_HEAD(self):
        self.send_error(503) if self.path in Down.paths else super().do_HEAD()

    def do_GET(self):
        self.send_error(503) if self.path in Down.paths else super().do_GET()
