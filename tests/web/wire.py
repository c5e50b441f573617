"""A wire between a browser and a server, which a test can cut and mend."""

import contextlib
import socket
import threading

from glide_jax.web.access import LOOPBACK


class Wire:
    """Passes on what comes to a port of its own. A context manager."""

    def __init__(self, port):
        self._port, self._lock, self._is_cut = port, threading.Lock(), False
        self._ends = []
        self._listener = socket.create_server((LOOPBACK, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def cut(self):
        """End all connections; new ones are refused."""
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._ends.clear()

    def mend(self):
        with self._lock:
            self._is_cut = False

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.cut()
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    if self._is_cut:
                        near.close()
                        continue
                    far = socket.create_connection((LOOPBACK, self._port))
                    self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
