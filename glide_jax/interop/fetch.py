"""One file over HTTP: resumed where it broke off, retried when that helps, checked at the end.

While it arrives it is called `NAME.part`, and `NAME.part.json` records which version of the
server's file that is. Whatever broke a download, the next one resumes it.

`pooch` (1.9) is not used, because it can't resume a download: its `HTTPDownloader` sends no Range,
and `stream_download` deletes its temporary file on every failure, so that a connection that breaks
after 2.1 of 2.2 GB costs all of them. It checks a file only against a hash known beforehand, which
most released checkpoints lack, and not against the server's size, ETag and MD5; it retries a 404
like a timeout; it checks no free space and locks out no other process. Its hash check alone is one
call of `hashlib.file_digest`.
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

from glide_jax import __version__
from glide_jax.cache import CACHE_VARIABLE
from glide_jax.errors import UserError
from glide_jax.interop import contents
from glide_jax.interop.released import PublicFile
from glide_jax.progress import Choice, Counter, progress_choice, say

TIMEOUT_S = 30.0
"""How long a server may send nothing."""

ATTEMPTS = 5
"""How many attempts in a row may bring nothing new."""

BACKOFF_S = 1.0
"""The pause after the first failure; it doubles after each."""

_CHUNK = 1 << 20

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_PASSING = (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS)
"""Answers below 500 that may change soon."""

_LASTING = (socket.gaierror, ssl.SSLCertVerificationError)
"""Errors of a first connection that the next one will meet too."""


def fetch(file: PublicFile, path: Path, progress: bool) -> None:
    """Fetch a file to a path, where it appears complete and checked. The caller holds its lock.

    Raises:
        UserError: the file can't be fetched, or the disk is full; what has arrived is kept.
    """
    _Download(file, path, progress).run()


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turns an OSError inside into a UserError: the folder of `path` is full, or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(path) from error
        raise UserError(
            f"{path.parent} can't be written ({error.strerror}): set {CACHE_VARIABLE} to a folder "
            "that can be"
        ) from error


def _full(path: Path) -> UserError:
    return UserError(
        f"the disk of {path.parent} is too full for {path.name}: make room and run again (what has "
        f"arrived is kept), or set {CACHE_VARIABLE} to a folder elsewhere"
    )


class _TryAgainError(Exception):
    """A failure that may pass. The message says which."""


class _GiveUpError(Exception):
    """A failure that no further attempt will change. The message says which."""


@dataclasses.dataclass(frozen=True)
class _Version:
    """What a server says about its file: enough to recognise it later.

    Attributes:
        validator: its ETag, or else the time of its last change; "": unknown.
        size: in bytes; None: unknown.
        digest: "md5:…"; "": unknown.
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
            # Content-MD5 is of the part here; Azure has another header for the complete file.
            digest = _digest(headers.get("x-ms-blob-content-md5", ""))
        else:
            size = headers.get("Content-Length", "")
            digest = _digest(headers.get("Content-MD5", ""))
        return cls(validator, int(size) if size.isdecimal() else None, digest)

    def may_be(self, other: "_Version") -> bool:
        """Whether the two may describe the same file."""
        return self.validator == other.validator and not _differ(self.size, other.size)


def _digest(md5: str) -> str:
    try:
        value = base64.b64decode(md5, validate=True)
    except ValueError:
        return ""
    return f"md5:{value.hex()}" if len(value) == 16 else ""


def _differ(size: int | None, other: int | None) -> bool:
    return size is not None and other is not None and size != other


class _Download:
    """The download of one file into the cache folder."""

    def __init__(self, file: PublicFile, path: Path, progress: bool):
        self._file, self._path, self._progress = file, path, progress
        self._part = path.with_name(f"{path.name}.part")
        self._record = path.with_name(f"{path.name}.part.json")
        self._most = 0  # bytes of the file, at most, that this run has had
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
            say(f"{self._path.name}: {error}; trying again in {seconds:g} s", sys.stderr)
        time.sleep(seconds)

    def _attempt(self) -> None:
        """Fetch what is missing. Raises _TryAgainError, _GiveUpError or UserError."""
        version = self._known_version()
        have = self._part.stat().st_size if version else 0
        self._is_resumed = have > 0
        if version is None or have != version.size:
            version = self._continue(version, have)
        self._finish(version)

    def _known_version(self) -> _Version | None:
        """The version of the part that is there; None: there is none that can be resumed."""
        try:
            version = _Version(**json.loads(self._record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return version if version.validator and self._part.exists() else None

    def _continue(self, known: _Version | None, have: int) -> _Version:
        """Request what comes after the first `have` bytes, and store what the server sends."""
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
                    raise _TryAgainError("the server continued with another file")
                version = dataclasses.replace(version, digest=version.digest or known.digest)
            else:
                # The server can't resume, or has another version by now.
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
        """Raise _GiveUpError before gigabytes of another file arrive."""
        if response.headers.get_content_type() == "text/html":
            raise _GiveUpError("the server sends a web page")
        if _differ(self._file.size, version.size):
            raise _GiveUpError(
                f"the server's file has {version.size:,} bytes, not {self._file.size:,}"
            )

    def _start_again(self) -> None:
        """Delete what has arrived."""
        with disk(self._path):
            # In this order: a part without a record is never resumed.
            self._record.unlink(missing_ok=True)
            self._part.unlink(missing_ok=True)
        self._is_resumed = False

    def _receive(self, response: http.client.HTTPResponse, version: _Version, have: int) -> None:
        """Append what arrives to the part, which has the first `have` bytes."""
        size = version.size
        with disk(self._path), self._counter(have, size) as counter:
            if size is not None and size - have > shutil.disk_usage(self._path.parent).free:
                raise _full(self._path)
            if not have:
                self._record.write_text(json.dumps(dataclasses.asdict(version)), encoding="utf-8")
            with self._part.open("ab") as part:
                while chunk := _read(response, _CHUNK if size is None else size - have):
                    part.write(chunk)
                    have += len(chunk)
                    self._most = max(self._most, have)
                    counter.advance(len(chunk))
        if size is not None and have < size:
            raise _TryAgainError(f"the connection ended after {have:,} of {size:,} bytes")

    def _counter(self, have: int, size: int | None) -> Counter:
        with contextlib.ExitStack() as stack:
            if not self._progress:
                stack.enter_context(progress_choice(Choice("quiet", "none")))
            return Counter(sys.stderr, self._path.name, size, "bytes", done=have)

    def _finish(self, version: _Version) -> None:
        """Check the complete file and rename it."""
        size = version.size if self._file.size is None else self._file.size
        digest = self._file.digest or version.digest
        if found := contents.integrity_error(self._part, self._path.name, size, digest):
            # Resumed parts may be of two versions of the file: that is worth another attempt.
            error = _TryAgainError if self._is_resumed else _GiveUpError
            self._start_again()
            raise error(f"what arrived is not the file: {found}")
        with self._part.open("rb+") as part:
            os.fsync(part.fileno())
        self._part.replace(self._path)
        self._record.unlink()


def _read(response: http.client.HTTPResponse, most: int) -> bytes:
    """What has arrived, at most `most` bytes; b"": the end."""
    try:
        return response.read1(min(most, _CHUNK)) if most else b""
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(f"the connection broke: {error or type(error).__name__}") from error
