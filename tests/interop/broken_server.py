"""An HTTP server on this machine that breaks, truncates and lies on demand."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `body` honestly, but for the requests that `plan` has a behaviour for.

    A behaviour is a function of the request's handler, used for one request. `asked` has the
    headers of every request so far.
    """

    def __init__(self, body):
        self.body = body
        self.headers = {"ETag": '"1"'}
        self.plan = []
        self.asked = []

    def answer(self, request):
        self.asked.append(dict(request.headers))
        behaviour = self.plan.pop(0) if self.plan else Server.honest
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            behaviour(self, request)

    def honest(self, request):
        """The whole, or the range that was asked for if that is of what is here now."""
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        condition = request.headers.get("If-Range")
        start = int(asked[1]) if asked and condition in (None, *self.headers.values()) else 0
        if not start:
            send(request, 200, self.headers, self.body)
        elif start >= len(self.body):
            send(request, 416, {"Content-Range": f"bytes */{len(self.body)}"}, b"")
        else:
            rest = {"Content-Range": f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"}
            send(request, 206, self.headers | rest, self.body[start:])


def send(request, status, headers, body, length=None):
    """Send an answer that claims to have `length` bytes, and end the connection after `body`."""
    request.send_response(status)
    headers = {"Content-Type": "application/octet-stream", **headers}
    headers.setdefault("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        if value is not None:
            request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def breaks_after(count):
    """The connection ends after so many bytes."""
    return lambda server, request: send(
        request, 200, server.headers, server.body[:count], len(server.body)
    )


def says(status, body=b"no", **headers):
    """Another answer altogether."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda server, request: send(request, status, headers, body)


def ignores_range(server, request):
    send(request, 200, server.headers, server.body)


@contextlib.contextmanager
def serving(body):
    """A Server, up for as long as the block lasts; its `url` ends in a slash."""
    server = Server(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
