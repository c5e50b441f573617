"""A page on loopback, served from a thread, and raw requests of it."""

import contextlib
import http.client
import json
import threading
import time
from typing import NamedTuple

from glide_jax.web.access import LOOPBACK, Access
from glide_jax.web.serving import build_server, listen


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Served(NamedTuple):
    """A page that is being served."""

    port: int

    @property
    def address(self):
        return f"http://{LOOPBACK}:{self.port}"

    def send(self, method, path, body=None, headers=(), host=None):
        """One request, its path as it is; `headers`: pairs or a dict."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"{LOOPBACK}:{self.port}")
            headers = dict(headers)
            if body is not None:
                headers = {"Content-Length": str(len(body))} | headers
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            # A body that is refused may not be read to its end.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(body or b"")
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())

    def get(self, path, **keywords):
        return self.send("GET", path, **keywords)

    def post(self, path, value, headers=(), **keywords):
        """`value`: bytes as they are; anything else as JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        headers = {"Content-Type": "application/json"} | dict(headers)
        return self.send("POST", path, body, headers, **keywords)


@contextlib.contextmanager
def serving(app, port=0):
    """Serve an application until the body is through."""
    with listen(LOOPBACK, port) as listener:
        server = build_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.started
            yield Served(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(30)


LOCAL = Access(None)
