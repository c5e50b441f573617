"""One file over HTTP: resumed when it broke, tried again when that helps, checked at the end.

While it arrives it is `NAME.part`, and `NAME.part.json` says which version of the file on the
server that is. Whatever broke a download, the next one goes on from there.
"""

import base64
import contextlib
import dataclasses
import errno
import http.client
import json
import os
import shutil
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import tqdm

from glide_jax import __version__
from glide_jax.cache import CACHE_VARIABLE
from glide_jax.errors import UserError
from glide_jax.interop import contents
from glide_jax.interop.released import PublicFile

TIMEOUT_S = 30.0
"""How long the server may be silent."""

ATTEMPTS = 5
"""How often in a row nothing new may arrive."""

BACKOFF_S = 1.0
"""The pause after the first failure; it doubles after each."""

_CHUNK = 1 << 20

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_PASSING = (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS)
"""The answers below 500 that speak of this moment, not of the file."""

_LASTING = (socket.gaierror, ssl.SSLCertVerificationError)
"""What keeps a first connection from being made, and will keep the next."""


def fetch(file: PublicFile, path: Path, progress: bool) -> None:
    """Fetch until the whole, checked file is at a path. The caller holds the file's lock.

    Raises:
        UserError: the file can't be had, or the disk is full; what has arrived is kept.
    """
    _Fetch(file, path, progress).run()


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn every OSError inside into a UserError: the folder of `path` is full, or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(path) from error
        raise UserError(
            f"{path.parent} can't be written ({error.strerror}): set {CACHE_VARIABLE} to a folder "
            "that can"
        ) from error


def _full(path: Path) -> UserError:
    return UserError(
        f"the disk of {path.parent} is too full for {path.name}: make room and run again (what has "
        f"arrived is kept), or set {CACHE_VARIABLE} to a folder elsewhere"
    )


class _TryAgainError(Exception):
    """Something that may be better in a moment. The message says what."""


class _GiveUpError(Exception):
    """Something that no further attempt will change. The message says what."""


@dataclasses.dataclass(frozen=True)
class _Version:
    """What a server says of the file it has: enough to know that file again.

    Attributes:
        validator: its ETag, or else when it was last changed; "": there is no telling.
        size: in bytes; None: not said.
        digest: "md5:…", or "".
    """

    validator: str
    size: int | None
    digest: str

    @classmethod
    def of(cls, response: http.client.HTTPResponse) -> "_Version":
        headers = response.headers
        validator = headers.get("ETag", "")
        # A weak ETag may outlive a change, and no range may depend on one (RFC 9110, 13.1.5).
        if not validator or validator.startswith("W/"):
            validator = headers.get("Last-Modified", "")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            size = headers.get("Content-Range", "").rpartition("/")[2]
            # Content-MD5 is the part's here; Azure has a header for the whole.
            digest = _digest(headers.get("x-ms-blob-content-md5", ""))
        else:
            size = headers.get("Content-Length", "")
            digest = _digest(headers.get("Content-MD5", ""))
        return cls(validator, int(size) if size.isdecimal() else None, digest)

    def may_be(self, other: "_Version") -> bool:
        """Whether the two are of one file, as far as they say."""
        return self.validator == other.validator and not _differ(self.size, other.size)


def _digest(md5: str) -> str:
    try:
        value = base64.b64decode(md5, validate=True)
    except ValueError:
        return ""
    return f"md5:{value.hex()}" if len(value) == 16 else ""


def _differ(size: int | None, other: int | None) -> bool:
    return size is not None and other is not None and size != other


class _Fetch:
    """One file on its way into the cache folder."""

    def __init__(self, file: PublicFile, path: Path, progress: bool):
        self._file, self._path, self._progress = file, path, progress
        self._part = path.with_name(f"{path.name}.part")
        self._record = path.with_name(f"{path.name}.part.json")
        self._most = 0  # bytes of the file that this run has ever had
        self._is_resumed = False

    def run(self) -> None:
        failures, most = 0, self._most
        while True:
            try:
                return self._attempt()
            except _GiveUpError as error:
                raise self._given_up(error) from error
            except _TryAgainError as error:
                failures = 1 if self._most > most else failures + 1
                most = self._most
                if failures == ATTEMPTS:
                    raise self._given_up(error) from error
                self._pause(BACKOFF_S * 2 ** (failures - 1), error)

    def _given_up(self, error: Exception) -> UserError:
        return UserError(
            f"{self._file.name} can't be fetched ({error}): run again later, or fetch "
            f"{self._file.url} elsewhere and put it at {self._path}"
        )

    def _pause(self, seconds: float, error: Exception) -> None:
        if self._progress:
            print(f"{self._path.name}: {error}; trying again in {seconds:g} s", file=sys.stderr)
        time.sleep(seconds)

    def _attempt(self) -> None:
        """Fetch what is missing. Raises _TryAgainError, _GiveUpError or UserError."""
        version = self._known_version()
        have = self._part.stat().st_size if version else 0
        self._is_resumed = have > 0
        if version is None or have != version.size:
            version = self._go_on(version, have)
        self._finish(version)

    def _known_version(self) -> _Version | None:
        """Of the part that is there; None: there is none that can be built on."""
        try:
            version = _Version(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if version.validator and self._part.exists() else None

    def _go_on(self, known: _Version | None, have: int) -> _Version:
        """Ask for what comes after the first `have` bytes, and take what the server gives."""
        headers = {"User-Agent": f"glide_jax/{__version__}"}
        if known and have:
            headers |= {"Range": f"bytes={have}-", "If-Range": known.validator}
        with self._open(urllib.request.Request(self._file.url, headers=headers)) as response:
            version = _Version.of(response)
            self._refuse_other_files(response, version)
            if response.status == http.HTTPStatus.PARTIAL_CONTENT:
                begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
                if not (known and begins and known.may_be(version)):
                    self._start_again()
                    raise _TryAgainError("the server went on with something else")
                version = dataclasses.replace(version, digest=version.digest or known.digest)
            else:
                # It can't continue, or has another version by now.
                self._start_again()
                have = 0
            self._receive(response, version, have)
        return version

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server says {error.code} {error.reason}"
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._start_again()
            elif error.code < 500 and error.code not in _PASSING:
                raise _GiveUpError(reason) from error
            raise _TryAgainError(reason) from error
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            reason = f"no connection: {cause or type(cause).__name__}"
            if isinstance(cause, _LASTING) and not self._most:
                raise _GiveUpError(reason) from error
            raise _TryAgainError(reason) from error

    def _refuse_other_files(self, response: http.client.HTTPResponse, version: _Version) -> None:
        """Tell before gigabytes arrive that they are not the file."""
        if response.headers.get_content_type() == "text/html":
            raise _GiveUpError("the server sends a web page")
        if _differ(self._file.size, version.size):
            raise _GiveUpError(
                f"the server has a file of {version.size:,} bytes there, not of {self._file.size:,}"
            )

    def _start_again(self) -> None:
        """Forget what has arrived."""
        with disk(self._path):
            # In this order: a part without a record is never built on.
            self._record.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
        self._is_resumed = False

    def _receive(self, response: http.client.HTTPResponse, version: _Version, have: int) -> None:
        """Append all that arrives to the part, which has the first `have` bytes."""
        size = version.size
        with disk(self._path), self._bar(have, size) as bar:
            if size is not None and size - have > shutil.disk_usage(self._path.parent).free:
                raise _full(self._path)
            if not have:
                self._record.write_text(json.dumps(dataclasses.asdict(version)), encoding="utf-8")
            with self._part.open("ab") as part:
                while chunk := _read(response, _CHUNK if size is None else size - have):
                    part.write(chunk)
                    have += len(chunk)
                    self._most = max(self._most, have)
                    bar.update(len(chunk))
        if size is not None and have < size:
            raise _TryAgainError(f"the connection ended after {have:,} of {size:,} bytes")

    def _bar(self, have: int, size: int | None) -> "tqdm.tqdm":
        return tqdm.tqdm(
            desc=self._path.name,
            initial=have,
            total=size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            # A log keeps every line of it.
            mininterval=0.2 if sys.stderr.isatty() else 30.0,
            disable=not self._progress,
        )

    def _finish(self, version: _Version) -> None:
        """Check the whole file, and give it its name."""
        size = version.size if self._file.size is None else self._file.size
        digest = self._file.digest or version.digest
        if flaw := contents.flaw(self._part, self._path.name, size, digest):
            # Two pieces may not have been of one file; one piece is what the server has.
            error = _TryAgainError if self._is_resumed else _GiveUpError
            self._start_again()
            raise error(f"what arrived is not the file: {flaw}")
        with self._part.open("rb+") as part:
            os.fsync(part.fileno())
        self._part.replace(self._path)
        self._record.unlink()


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    """What has arrived, at most so many bytes; b"": the end."""
    try:
        return response.read1(min(most, _CHUNK)) if most else b""
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(f"the connection broke: {error or type(error).__name__}") from error
