"""What comes in: JSON bodies of a limited size, and their fields."""

import asyncio
import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_BYTES = 65_536
"""Of a JSON body."""

_TIMEOUT_S = 20


async def read_json(request: Request, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in a request's body.

    Args:
        request: its content type must be application/json, which no form of another site can send.
        max_bytes: of the body; the rest of a larger one is never read.

    Raises:
        HTTPException: with one sentence: 415, another type; 413, too large; 408, too slow; 400, not
            a JSON object in UTF-8 (NaN and Infinity are no JSON).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send JSON, with the content type application/json.")
    data = await read_body(request, max_bytes)
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return value


async def read_body(request: Request, max_bytes: int) -> bytes:
    """A request's body.

    Raises:
        HTTPException: 413, it is larger than `max_bytes`; 408, it takes too long; 400, the
            connection was cut.
    """
    too_large = HTTPException(413, f"Send at most {max_bytes:,} bytes.")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            async for chunk in request.stream():
                data += chunk
                if len(data) > max_bytes:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, "The body did not come in time: send it again.") from None
    except ClientDisconnect:
        raise HTTPException(400, "The connection was cut.") from None
    return bytes(data)


def text_field(fields: dict[str, Any], name: str) -> str:
    """A field that must be text.

    Raises:
        HTTPException: 400, it is missing, or no text.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise HTTPException(400, f"The field {name!r} must be text.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)
