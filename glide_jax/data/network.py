"""Whether a server can be reached, known in seconds: other libraries retry for minutes."""

import errno
import http.client
import os
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_S = 10.0
"""How long a server may take to answer."""

_PAUSE_S = 1.0
"""Before the second attempt; a network that is only unsteady answers then."""


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
    reason = _attempt(f"{scheme}://{host}/")
    if not reason:
        return ""
    time.sleep(_PAUSE_S)
    reason = _attempt(f"{scheme}://{host}/")
    return f"{host} can't be reached: {reason}" if reason else ""


def _attempt(url: str) -> str:
    # In a thread, as looking up a name has no timeout.
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(_ask(url)), daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return reasons[0] if reasons else f"no answer in {TIMEOUT_S:g} s"


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
