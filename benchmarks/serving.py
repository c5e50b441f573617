"""What `glide-jax serve` makes people wait, and the memory that it takes; it starts a server.

    python benchmarks/serving.py runs/quickstart
    python benchmarks/serving.py runs/quickstart --only preview
    python benchmarks/serving.py runs/quickstart --only clients --clients 20 --each 3
    python benchmarks/serving.py runs/quickstart --only memory --requests 500

preview: seconds from asking for the page to the first preview of a prompt, warm. clients: so many
ask at once for images of their own, some for many more than others; who waits how long. memory: of
the server's process after every fifty requests (Linux).
"""

import argparse
import contextlib
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ("/", "/common.css", "/serve.css", "/serve.js", "/api.js", "/form.js", "/editor.js")
PAGE = (*PAGE, "/results.js", "/serve_icon.svg")
ENDED = ("done", "failed", "cancelled")
PROMPTS = ("a red circle above a blue square", "a green star", "a large yellow triangle", "")


class Server(NamedTuple):
    """A server that was started.

    Attributes:
        pid: of its process.
        port: on loopback.
    """

    pid: int
    port: int

    def send(self, method: str, path: str, value: Any = None) -> bytes:
        """One request; its body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            body = None if value is None else json.dumps(value).encode()
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            data = response.read()
            if response.status >= 400:
                raise SystemExit(f"{method} {path}: {response.status} {data[:300]!r}")
            return data

    def submit(self, client: str, **request: Any) -> str:
        """Ask for images; the job's id."""
        asked = {"client": client, "task": "sample", **request}
        return json.loads(self.send("POST", "/api/jobs", asked))["id"]

    def events(self, *ids: str) -> Iterator[dict[str, Any]]:
        """The jobs whenever they change, until all have ended."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/events?jobs={','.join(ids)}")
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

    def rss_mb(self) -> float:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


@contextlib.contextmanager
def started(workdir: str, batch_size: int) -> Iterator[Server]:
    """Serve a workdir until the body is through."""
    command = [sys.executable, "-m", "glide_jax.cli", "serve", f"--checkpoint={workdir}"]
    command += ["--port=0", f"--batch-size={batch_size}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.match(r"open http://127\.0\.0\.1:(\d+)/", line):
                yield Server(process.pid, int(found[1]))
                return
        raise SystemExit("the server did not start")
    finally:
        process.terminate()
        process.wait(60)


def preview(server: Server, repeats: int) -> None:
    """From nothing to the first preview, as a browser goes there."""
    weight = sum(len(server.send("GET", path)) for path in PAGE)
    first, done = [], []
    for i in range(repeats):
        start = time.perf_counter()
        for path in (*PAGE, "/api/info"):
            server.send("GET", path)
        job_id = server.submit("benchmark", prompt=PROMPTS[i % 4], seed=i)
        seen = None
        for job in server.events(job_id):
            if seen is None and job["images"][0]["preview"]:
                server.send("GET", job["images"][0]["preview"])
                seen = time.perf_counter() - start
        first.append(seen or float("nan"))
        done.append(time.perf_counter() - start)
    print(f"page: {weight / 1000:.1f} kB of own code, uncompressed")
    for name, seconds in (("first preview", first), ("image", done)):
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"page to {name}: median {middle:.2f} s, {low:.2f} to {high:.2f} s, of {repeats}")


def clients(server: Server, count: int, each: int) -> None:
    """Everybody asks at once; the first for four times as many images as the others."""
    waits: dict[int, list[float]] = {i: [] for i in range(count)}
    lost: list[str] = []
    start = time.perf_counter()

    def ask(i: int) -> None:
        images = each * (4 if i == 0 else 1)
        for first in range(0, images, 8):  # as many as a client may have waiting
            numbers = range(first, min(images, first + 8))
            ids = [submit(i, number) for number in numbers]
            for job in server.events(*ids):
                if job["state"] in ENDED:
                    waits[i].append(time.perf_counter() - start)
                    if job["state"] != "done" or job["seed"] // 100 != i:
                        lost.append(job["id"])

    def submit(i: int, number: int) -> str:
        prompt, seed = PROMPTS[number % 4], 100 * i + number
        return server.submit(f"client-number-{i}", prompt=prompt, seed=seed)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = max(map(max, waits.values()))
    images = sum(map(len, waits.values()))
    firsts = [times[0] for times in waits.values()]
    lasts = [times[-1] for i, times in waits.items() if i]
    print(f"{count} clients, {images} images in {total:.1f} s, {len(lost)} lost or mixed")
    print(f"first image: {min(firsts):.1f} to {max(firsts):.1f} s after all asked")
    print(f"all {each} images of the others: {min(lasts):.1f} to {max(lasts):.1f} s")
    print(f"all {4 * each} images of the one who asked for more: {waits[0][-1]:.1f} s")


def memory(server: Server, requests: int) -> None:
    """The process's memory while it answers many requests, eight at a time."""
    done = 0
    print(f"after 0 requests: {server.rss_mb():.0f} MB", flush=True)
    while done < requests:
        ids = [server.submit("benchmark", prompt=PROMPTS[i % 4], seed=done + i) for i in range(8)]
        for job in server.events(*ids):
            assert job["state"] not in ("failed", "cancelled"), job
            for image in job["images"] * (job["state"] == "done"):
                server.send("GET", f"/api/images/{image['id']}.png")
        done += len(ids)
        if done % 50 < 8:
            print(f"after {done} requests: {server.rss_mb():.0f} MB", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workdir")
    parser.add_argument("--only", choices=("preview", "clients", "memory"))
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9, help="of preview")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--each", type=int, default=3, help="images of a client")
    parser.add_argument("--requests", type=int, default=500, help="of memory")
    arguments = parser.parse_args()
    only = arguments.only
    with started(str(Path(arguments.workdir).resolve()), arguments.batch_size) as server:
        if only in (None, "preview"):
            preview(server, arguments.repeats)
        if only in (None, "clients"):
            clients(server, arguments.clients, arguments.each)
        if only in (None, "memory"):
            memory(server, arguments.requests)


if __name__ == "__main__":
    main()
