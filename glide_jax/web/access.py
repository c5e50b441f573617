"""Who may use a page: this machine alone, or whoever has the token; and no other site's script."""

import dataclasses
import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
"""Where a page listens unless it is opened to a network."""

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_YEAR_S = 365 * 24 * 3600

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every response. Nothing is loaded from elsewhere, and nothing in the page itself runs."""


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may use a page.

    Attributes:
        token: what a browser or a program must have; None: the page is on loopback, where everybody
            on this machine may use it, under loopback's own names.
    """

    token: str | None


def access_for(host: str, token: str) -> Access:
    """Loopback is open to this machine; at any other address the token is needed."""
    return Access(None if is_loopback(host) else token)


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Whether an address, or a host's name, is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI: answers those who may not use the page itself, and puts headers on every response.

    A request is refused (403) if its Host is not loopback's, which a foreign name that resolves to
    127.0.0.1 is not, or if another origin's script sent it; (401) if there is a token and it hasn't
    it. `/?token=…` stores the token in a cookie and leads to `/`, so that it is in no history.

    Args:
        app: what is guarded.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access):
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            return  # neither WebSockets nor the server's lifespan are used

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                added.append((b"cache-control", b"no-store"))
                headers = [pair for pair in added if pair[0] not in present]
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        answer = self._own_answer(Request(scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _own_answer(self, request: Request) -> Response | None:
        """The response where the page itself must not give one."""
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if request.method not in _SAFE_METHODS and origin is not None and not _is(origin, host):
            return PlainTextResponse("This page takes nothing from another site.", 403)
        if self._access.token is None:
            if not is_loopback(_name(host)):
                return PlainTextResponse("Open this page as http://127.0.0.1 or localhost.", 403)
            return None
        return self._check_token(request, self._access.token)

    def _check_token(self, request: Request, token: str) -> Response | None:
        # A browser's cookies are of a host, not of a port.
        cookie = f"glide_jax_{(request.scope.get('server') or ('', 0))[1]}"
        if request.url.path == "/" and request.method == "GET" and "token" in request.query_params:
            if not _same(request.query_params["token"], token):
                return _no_token()
            leads = RedirectResponse("/", 303)
            leads.set_cookie(cookie, token, max_age=_YEAR_S, httponly=True, samesite="strict")
            return leads
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = request.cookies.get(cookie, "")
        return None if _same(given, token) else _no_token()


def _no_token() -> Response:
    return PlainTextResponse(
        "This page needs its token: open the complete address that the command printed.", 401
    )


def _same(given: str, token: str) -> bool:
    """Whether they are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _name(host: str) -> str:
    """The name in a Host header: whatever the port is, which ssh -L may have changed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False
