"""The OpenAPI 3.1 document of the API; requests are described by the tables that check them."""

from collections.abc import Mapping, Sequence
from typing import Any

from glide_jax import __version__
from glide_jax.web.serve.fields import ID_PATTERN, Field, schema_of

CLIENT = Field(
    "client",
    "id",
    "who asks: anything random, always the same of one person, who gets a fair share of the device",
    required=True,
)


def task_field(task: str) -> Field:
    """The field that says which task it is."""
    return Field("task", "choice", "what to do", choices=(task,), required=True)


def document(tables: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """The document.

    Args:
        tables: task → the fields of its requests.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "glide_jax",
            "version": __version__,
            "description": "Sample images, follow how far they are, and take them.",
        },
        "paths": _paths(tables),
        "components": {"schemas": _SCHEMAS},
    }


def _paths(tables: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    requests = [schema_of(fields) | {"title": task} for task, fields in tables.items()]
    body = {"application/json": {"schema": {"oneOf": requests}}}
    client = {"name": CLIENT.name, "in": "query", "required": True, "description": CLIENT.about}
    upload = {f"image/{kind}": {"schema": {}} for kind in ("png", "jpeg", "webp")}
    job = _json("Job", "the job")
    return {
        "/api/info": {
            "get": _operation("info", "What the models can do.", {"200": _json("Info", "it")})
        },
        "/api/images": {
            "post": _operation(
                "upload",
                "Keep an image, or a mask, for requests; large ones are reduced.",
                {"201": _json("Image", "its name and size")} | _errors(400, 408, 413, 415),
                parameters=[client | {"schema": {"type": "string", "pattern": ID_PATTERN}}],
                requestBody={"required": True, "content": upload},
            )
        },
        "/api/images/{id}.png": {
            "get": _operation(
                "image",
                "An image that is kept: an upload, or a result with its provenance.",
                {"200": _PNG} | _errors(404),
                parameters=[_path("id", _ID)],
            )
        },
        "/api/jobs": {
            "post": _operation(
                "submit",
                "Ask for images. The job is cancelled when nobody has asked for it for 10 seconds.",
                {"202": job} | _errors(400, 404, 408, 413, 415, 429, 503),
                requestBody={"required": True, "content": body},
            )
        },
        "/api/jobs/{id}": {
            "get": _operation(
                "job",
                "How far a job is.",
                {"200": job} | _errors(404),
                parameters=[_path("id", _ID)],
            )
        },
        "/api/jobs/{id}/cancel": {
            "post": _operation(
                "cancel",
                "Cancel a job at its next step; images that are done stay.",
                {"200": job} | _errors(404),
                parameters=[_path("id", _ID)],
            ),
        },
        "/api/jobs/{id}/previews/{place}.png": {
            "get": _operation(
                "preview",
                "What an image looks like so far.",
                {"200": _PNG} | _errors(404),
                parameters=[_path("id", _ID), _path("place", {"type": "integer", "minimum": 0})],
            )
        },
        "/api/events": {
            "get": _operation(
                "events",
                "Jobs whenever they change, as server-sent events, until all have ended.",
                {"200": {"description": "Job objects", "content": {"text/event-stream": {}}}}
                | _errors(404),
                parameters=[
                    {
                        "name": "jobs",
                        "in": "query",
                        "required": True,
                        "description": "ids, with commas between them; at most 16",
                        "schema": {"type": "string"},
                    }
                ],
            )
        },
    }


def _operation(name: str, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, **more, "responses": responses}


def _json(schema: str, about: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": about, "content": content}


def _errors(*statuses: int) -> dict[str, Any]:
    """Of a request that was refused; 401 and 403 can come of any."""
    errors = {str(status): _json("Error", "one sentence that says why") for status in statuses}
    text = {"description": "who asks may not", "content": {"text/plain": {}}}
    return errors | {"401": text, "403": text}


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


_ID = {"type": "string", "pattern": ID_PATTERN}
_PNG = {"description": "PNG", "content": {"image/png": {}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_SCHEMAS = {
    "Error": _object(error={"type": "string"}),
    "Image": _object(id=_ID, width={"type": "integer"}, height={"type": "integer"}),
    "Info": _object(
        name={"type": "string"},
        version={"type": "string"},
        image_size={"type": "integer"},
        reads_captions={"type": "boolean"},
        classes={"type": "integer"},
        trained_to_inpaint={"type": "boolean"},
        stages={"type": "array", "items": {"type": "object"}},
        tasks={"type": "object"},
        max_upload_bytes={"type": "integer"},
        unfinished_jobs={"type": "integer"},
    ),
    "Job": _object(
        id=_ID,
        task={"type": "string"},
        seed={"type": "integer"},
        state={"enum": ["queued", "running", "done", "failed", "cancelled"]},
        error={"type": ["string", "null"]},
        notes={"type": "array", "items": {"type": "string"}},
        ahead={"type": "integer", "description": "about how many images come first"},
        fraction={"type": "number", "minimum": 0, "maximum": 1},
        seconds_left={"type": ["number", "null"], "description": "of the images that are sampled"},
        size={"type": "integer", "description": "pixels of the images' longer side"},
        images={
            "type": "array",
            "items": _object(
                id={"type": ["string", "null"], "description": "once it is done"},
                preview={"type": ["string", "null"], "description": "an address"},
                provenance={"type": ["object", "null"]},
                done={"type": "boolean", "description": "whether it was sampled"},
            ),
        },
    ),
}
