"""A page's routes as one guarded application; whatever goes wrong is one sentence of JSON."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from glide_jax.errors import UserError
from glide_jax.web.access import Access, Guard
from glide_jax.writing import DiskError

_SENTENCES = {404: "There is nothing at this address.", 405: "This address takes no such request."}
"""Status → what is said where the server refuses by itself."""


def build_application(routes: Sequence[Route], access: Access) -> ASGIApp:
    """An ASGI application.

    Args:
        routes: of a page and its API. An HTTPException that they raise becomes `{"error":
            SENTENCE}` with its status, and so does a UserError, with 400, and a DiskError, with
            503; any other exception becomes 500, and its traceback goes to the server's log alone.
        access: who may use it.
    """
    handlers = {HTTPException: _http_error, UserError: _user_error, Exception: _unexpected}
    return Guard(Starlette(routes=list(routes), exception_handlers=handlers), access)


def error_response(status: int, sentence: str) -> JSONResponse:
    """`{"error": SENTENCE}`, for the page to show."""
    return JSONResponse({"error": sentence}, status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    by_itself = error.detail == HTTPStatus(error.status_code).phrase
    sentence = _SENTENCES.get(error.status_code) if by_itself else None
    own = error_response(error.status_code, sentence or error.detail)
    own.headers.update(error.headers or {})
    return own


async def _user_error(request: Request, error: Exception) -> Response:
    return error_response(503 if isinstance(error, DiskError) else 400, str(error))


async def _unexpected(request: Request, error: Exception) -> Response:
    return error_response(500, "Something went wrong here; the server's log says what. Try again.")
