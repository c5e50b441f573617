"""The files of a page, read once when it starts: what is asked for later never reaches the disk."""

import hashlib
from collections.abc import Sequence
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def page_routes(folders: Sequence[str]) -> list[Route]:
    """A route for each file: `/NAME`, and of index.html `/`.

    Args:
        folders: in `glide_jax/web/pages`.
    """
    pages = resources.files("glide_jax.web") / "pages"
    routes = []
    for folder in folders:
        for file in sorted((pages / folder).iterdir(), key=lambda file: file.name):
            suffix = file.name[file.name.rindex(".") :]
            path = "/" if file.name == "index.html" else f"/{file.name}"
            routes.append(Route(path, _responder(file.read_bytes(), _TYPES[suffix])))
    return routes


def _responder(data: bytes, media_type: str):
    # The browser asks each time, and gets the file only if another version has been installed.
    headers = {"cache-control": "no-cache", "etag": f'"{hashlib.sha256(data).hexdigest()[:16]}"'}

    async def respond(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media_type, headers=headers)

    return respond
