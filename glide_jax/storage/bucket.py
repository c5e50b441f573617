"""Buckets through fsspec: opened once, asked again where they fail, their errors in one line.

fsspec's own file systems, gcsfs and s3fs, find credentials as Google's and Amazon's tools do, and
the endpoint of another server in STORAGE_EMULATOR_HOST and AWS_ENDPOINT_URL.
"""

import contextlib
import errno
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from glide_jax.errors import UserError, one_line

SCHEMES = {"gs": "gcsfs", "s3": "s3fs"}
"""Scheme → the package that reads and writes such buckets."""

RETRY_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Pauses before the retries of what failed, beside those that gcsfs and s3fs make themselves."""

ANSWER_S = 40.0
"""How long a bucket may take to answer for the first time."""

_S3_TIMEOUTS = {"connect_timeout": 10, "read_timeout": 60}
_HOW_TO_LOG_IN = {
    "gs": "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "aws configure, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")
_DENIED = {
    *("401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    *("ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"),
}
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class BucketError(OSError):
    """A bucket did not do what was asked, and asking again did not help; `strerror` says why."""


@functools.cache
def open_bucket(scheme: str, name: str) -> Any:
    """The file system of a bucket that is there.

    Args:
        scheme: in SCHEMES.
        name: of the bucket.

    Raises:
        UserError: its package is not installed, there are no credentials, they are not enough, or
            there is no such bucket.
    """
    url = f"{scheme}://{name}"
    try:
        system = _file_system(scheme)
    except ImportError as error:
        raise UserError(
            f"{url} needs {SCHEMES[scheme]}: pip install 'glide_jax[remote]' ({one_line(error)})"
        ) from error
    except Exception as error:  # credentials are looked for here; any library's errors
        raise UserError(f"can't open {url}: {_reason(error, scheme)}") from error
    failed = _first_answer(lambda: _list_one(system, name))
    if isinstance(failed, FileNotFoundError):
        raise UserError(f"there is no bucket {url}: make it, or choose another") from failed
    if failed is not None:
        raise UserError(f"can't open {url}: {_reason(failed, scheme)}") from failed
    return system


def _file_system(scheme: str) -> Any:
    import fsspec  # late: most paths are no bucket's

    # Without a cache: another process may have written what a listing kept here lacks.
    if scheme == "s3":
        return fsspec.filesystem("s3", use_listings_cache=False, config_kwargs=_S3_TIMEOUTS)
    # Not fsspec's "gs", which asks another API over gRPC what kind of bucket it is.
    from gcsfs.core import GCSFileSystem  # pyright: ignore[reportMissingImports]

    # It logs with a traceback what it raises as well, and what is raised is reported here.
    logging.getLogger("gcsfs").addFilter(_has_no_traceback)
    return GCSFileSystem(use_listings_cache=False)


def _has_no_traceback(record: logging.LogRecord) -> bool:
    return not record.exc_info


def _list_one(system: Any, name: str) -> None:
    """Ask for one object of a bucket, which takes no more permission than a run needs."""
    if hasattr(system, "call_s3"):
        system.call_s3("list_objects_v2", Bucket=name, MaxKeys=1)
    else:
        system.call("GET", "b/{}/o", name, maxResults=1, json_out=True)


def _first_answer(ask: Callable[[], object]) -> Exception | None:
    """What asking raises within ANSWER_S; None: nothing."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            ask()
        except Exception as error:
            raised.append(error)

    # In a thread, as the libraries' own timeouts add up to minutes.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if thread.is_alive():
        return TimeoutError(errno.ETIMEDOUT, f"no answer in {ANSWER_S:g} s")
    return raised[0] if raised else None


@contextlib.contextmanager
def bucket_errors(url: str) -> Iterator[None]:
    """Turn whatever gcsfs and s3fs raise into an OSError with one line in `strerror`.

    Args:
        url: what the body reads or writes.

    Raises:
        FileNotFoundError: there is no such object.
        PermissionError: access is denied.
        BucketError: anything else.
    """
    try:
        yield
    except (UserError, MemoryError, BucketError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "not found", url) from error
    except Exception as error:  # gcsfs, s3fs, botocore, aiohttp, google-auth: of many types
        scheme = url.partition(":")[0]
        kind = PermissionError if _is_denied(error) else BucketError
        number = errno.EACCES if _is_denied(error) else errno.EIO
        raise kind(number, _reason(error, scheme), url) from error


def asked_again(action: Callable[[], _T], url: str) -> _T:
    """action(), again after a pause while the bucket fails: a server that is overloaded recovers.

    Args:
        action: may be done twice.
        url: what it reads or writes.

    Raises:
        OSError: as `bucket_errors`; of FileNotFoundError and PermissionError, at once.
    """
    for pause in (*RETRY_PAUSES_S, None):
        try:
            with bucket_errors(url):
                return action()
        except BucketError as error:
            if pause is None:
                raise
            _log.warning("%s: %s; asking again in %g s", url, error.strerror, pause)
            time.sleep(pause)
    raise AssertionError


def _codes(error: BaseException) -> set[str]:
    """The status and the code that a server gave, of an error or of what caused it."""
    found: set[str] = set()
    seen: BaseException | None = error
    while seen is not None:
        values = vars(seen)
        found |= {type(seen).__name__, str(values.get("code")), str(values.get("status"))}
        response = values.get("response")
        if isinstance(response, dict):
            found.add(str(response.get("Error", {}).get("Code", "")))
        seen = seen.__cause__ or seen.__context__
    return found


def _is_denied(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, PermissionError)
        or bool(_codes(error) & {*_DENIED, *_NO_CREDENTIALS})
        or text.startswith("Forbidden")
    )


def _reason(error: BaseException, scheme: str) -> str:
    """Why a bucket failed, and what to do where that is known."""
    codes, how = _codes(error), _HOW_TO_LOG_IN.get(scheme, "")
    if codes & {*_NO_CREDENTIALS} or "Anonymous caller" in str(error) or "401" in codes:
        return f"there are no credentials: {how}"
    if _is_denied(error):
        return f"access is denied ({one_line(error)[:120]}): use other credentials, with {how}"
    return (getattr(error, "strerror", None) or one_line(error))[:200]
