"""Whether a server can be reached, known in seconds: other libraries retry for minutes."""

import contextlib
import errno
import http.client
import os
import queue
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 7.5
"""How long a server may take to answer, two attempts together."""

_SECOND_AFTER_S = 3.0
"""Without an answer so long a second attempt begins beside the first: its packets may be lost."""

_PAUSE_S = 1.0
"""After a refusal, before the second attempt; a network that is only unsteady answers then."""


def unreachable(url: str) -> str:
    """Return why nothing answers where a URL points, in a few words; "": something does.

    Any answer of the server counts, refusals too. Proxies of the environment are used.

    Args:
        url: http or https; only its host is asked. Of other URLs the answer is always "".
    """
    scheme, host = urllib.parse.urlsplit(url)[:2]
    # urllib knows no SOCKS proxies, which may be the only way out.
    if scheme not in ("http", "https") or "all" in urllib.request.getproxies():
        return ""
    reason = _reason(f"{scheme}://{host}/")
    return f"{host} can't be reached: {reason}" if reason else ""


def _reason(url: str) -> str:
    """Why neither of two attempts is answered; "": one is."""
    ends = time.monotonic() + TIMEOUT_S
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    reason = f"no answer in {TIMEOUT_S:g} s"
    pending = 0
    for second in (False, True):
        # In a thread, as looking up a name has no timeout.
        threading.Thread(target=lambda: answers.put(_ask(url)), daemon=True).start()
        pending += 1
        until = ends if second else min(ends, time.monotonic() + _SECOND_AFTER_S)
        while pending and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                answer = answers.get(timeout=left)
                if not answer:
                    return ""
                reason, pending = answer, pending - 1
        if not second and not pending:
            time.sleep(_PAUSE_S)
    return reason


def _ask(url: str) -> str:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return ""
    except OSError as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(error, urllib.error.HTTPError) or isinstance(cause, ssl.SSLError):
            return ""  # it answered
        if isinstance(cause, OSError) and cause.errno in errno.errorcode:
            return os.strerror(cause.errno or 0)
        return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    except (http.client.HTTPException, ValueError):
        return ""
