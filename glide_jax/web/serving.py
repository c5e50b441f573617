"""Listening on an address, and serving an application there until Ctrl-C."""

import socket

import uvicorn
from starlette.types import ASGIApp

from glide_jax.errors import UserError, one_line
from glide_jax.web.access import Access

_MAX_CONNECTIONS = 256
_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address of this machine, or a name of one.
        port: 0: any that is free.

    Raises:
        UserError: the port is in use or not allowed, or the address is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"a port is from 0 to 65535, not {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UserError(
            f"can't listen on {host}, port {port}: {reason}; give another --port, 0 for any that "
            "is free, or another address"
        ) from error
    return listener


def address_of(listener: socket.socket, access: Access) -> str:
    """The address that people open, with the token where one is needed."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    query = "" if access.token is None else f"?token={access.token}"
    return f"http://{host}:{port}/{query}"


def build_server(app: ASGIApp) -> uvicorn.Server:
    """The server of an application, for `run(sockets=[listener])`; `should_exit = True` ends it."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            limit_concurrency=_MAX_CONNECTIONS,
            lifespan="off",
            log_level="warning",
            # A header of the proxy that is not there must not say who asks.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
    )


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until Ctrl-C, which ends it as it ends every command.

    Args:
        app: the application; open to a network it must ask for a token.
        listener: see `listen`.

    Raises:
        KeyboardInterrupt: always, at the end.
    """
    build_server(app).run(sockets=[listener])
    # uvicorn raises the signal again; a process that a script put into the background ignores it.
    raise KeyboardInterrupt
