"""Object stores on loopback, Google's and Amazon's protocols, and what may go wrong with them.

Google's is gcp-storage-emulator, Amazon's is moto; `Faults` comes between them and a request.
"""

import dataclasses
import functools
import http.server
import threading
import time
from contextlib import contextmanager

import pytest

BUCKET = "bucket"


@dataclasses.dataclass
class Faults:
    """What a store does wrong from now on.

    Attributes:
        unavailable: how many requests are answered with 503.
        slow_s: how long each waits before it is answered.
        denied: whether every one is answered with 403.
        writes_denied: whether those that write are.
        requests: (method, path) of all that came.
        before: called with (method, path) before each is answered.
    """

    unavailable: int = 0
    slow_s: float = 0.0
    denied: bool = False
    writes_denied: bool = False
    requests: list = dataclasses.field(default_factory=list)
    before: object = None

    def status(self, method, path):
        """What a request is refused with; None: it is answered."""
        self.requests.append((method, path))
        if self.before:
            self.before(method, path)
        time.sleep(self.slow_s)
        if self.denied or (self.writes_denied and method not in ("GET", "HEAD")):
            return 403
        if self.unavailable > 0:
            self.unavailable -= 1
            return 503
        return None

    def mend(self):
        """Do everything right again."""
        self.unavailable, self.slow_s = 0, 0.0
        self.denied = self.writes_denied = False
        self.before = None
        self.requests.clear()


@dataclasses.dataclass
class Store:
    """A running object store.

    Attributes:
        scheme: `gs` or `s3`.
        environment: variables with which gcsfs and s3fs find it.
        faults: to change.
        make: bucket's name → makes it.
        vanish: deletes BUCKET with all that is in it.
    """

    scheme: str
    environment: dict
    faults: Faults
    make: object
    vanish: object

    def url(self, path):
        """Of a path in BUCKET."""
        return f"{self.scheme}://{BUCKET}/{path}"


@contextmanager
def s3_store():
    """moto's server, with one bucket."""
    server = pytest.importorskip("moto.moto_server.werkzeug_app")
    pytest.importorskip("s3fs")
    from moto.backends import get_backend
    from werkzeug.serving import make_server

    faults = Faults()
    application = server.DomainDispatcherApplication(server.create_backend_app)

    def with_faults(environ, start_response):
        if status := faults.status(environ["REQUEST_METHOD"], environ["PATH_INFO"]):
            code = {403: "AccessDenied", 503: "SlowDown"}[status]
            start_response(f"{status} {code}", [("Content-Type", "application/xml")])
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
        return application(environ, start_response)

    class Quiet(server.MotoRequestHandler):
        def log_request(self, code="-", size="-"):
            pass

    running = make_server("127.0.0.1", 0, with_faults, threaded=True, request_handler=Quiet)
    backend = get_backend("s3")["123456789012"]["aws"]

    def vanish():
        if BUCKET in backend.buckets:
            backend.buckets[BUCKET].keys.clear()
            backend.delete_bucket(BUCKET)

    def make(name=BUCKET):
        if name not in backend.buckets:
            backend.create_bucket(name, "us-east-1")

    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    make()
    with _serving(running):
        yield Store("s3", environment, faults, make, vanish)
    vanish()


@contextmanager
def gs_store():
    """gcp-storage-emulator, with one bucket."""
    server = pytest.importorskip("gcp_storage_emulator.server")
    pytest.importorskip("gcsfs")
    from gcp_storage_emulator.handlers import buckets
    from gcp_storage_emulator.storage import Storage

    faults = Faults()
    storage = Storage(use_memory_fs=True)
    one_at_a_time = threading.Lock()

    class Handler(server.RequestHandler):
        protocol_version = "HTTP/1.0"

        def __getattribute__(self, name):
            if name.startswith("do_"):
                return functools.partial(self.answer, super().__getattribute__(name))
            return super().__getattribute__(name)

        def answer(self, do):
            size = int(self.headers.get("Content-Length") or 0)
            if status := faults.status(self.command, self.path):
                self.rfile.read(size)
                self.send_response(status)
                self.end_headers()
                return
            with one_at_a_time:
                do()

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, storage))

    def make(name=BUCKET):
        buckets.create_bucket(name, storage)

    def vanish():
        storage.wipe()

    environment = {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{running.server_port}",
        "NO_GCE_CHECK": "true",
    }
    make()
    with _serving(running):
        yield Store("gs", environment, faults, make, vanish)


@contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


STORES = {"gs": gs_store, "s3": s3_store}


@contextmanager
def used(store, monkeypatch):
    """A store that works and has an empty bucket, which gcsfs and s3fs find."""
    fsspec = pytest.importorskip("fsspec")
    from glide_jax.storage import bucket

    store.faults.mend()
    store.vanish()
    store.make()
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    # An older gcsfs looks for credentials on the network, for a quarter of a minute.
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    # What failed is asked again soon.
    monkeypatch.setattr(bucket, "RETRY_PAUSES_S", (0.05, 0.1, 0.2))
    bucket.open_bucket.cache_clear()
    for scheme in ("gs", "s3"):
        fsspec.get_filesystem_class(scheme).clear_instance_cache()
    yield store
    bucket.open_bucket.cache_clear()
