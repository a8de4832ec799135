"""What FastAPI cannot see in routes that take a bare request: bodies, queries, ids in paths, problems."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from service import answers
from service.exchange import MAX_TIMEOUT_MS
from service.problems import INTERNAL, MEDIA_TYPE, PROBLEMS, Problem
from service.requests import FORM, JSON, TAGS
from service.schemas import BODIES, PostingId, Schema

_KINDS = {kind.slug: kind for kind in (*PROBLEMS.values(), INTERNAL)}
Responses = dict[int | str, dict[str, Any]]
_TEXT = {"type": "string"}
_REFS = "#/components/schemas/{model}"

ALWAYS = ("internal-error", "malformed-header", "deadline-passed")
QUERY = ("draining", "invalid-request", "unknown-field", "duplicate-field", "malformed-json")
BODY = ("draining", "body-too-slow", "body-too-large", "unsupported-media-type", "unsupported-encoding", "overloaded")
JSON_BODY = (*BODY, "malformed-json", "invalid-request", "unknown-field")
FRAMING = ("malformed-multipart", "truncated-multipart", "too-many-parts")
TITLE = ("title-empty", "title-too-long", "title-invalid-unicode", "title-control-character")
IMAGE = tuple(slug for slug in _KINDS if slug.startswith("image-") and slug != "image-not-file")
CONTENT = (*TITLE, *IMAGE, "unsupported-image-format", "empty-posting", "model-fault", "worker-died")
FORM_BODY = (*JSON_BODY, *CONTENT, *FRAMING, "duplicate-field", "title-not-text", "field-not-text", "image-not-file")
STORED = ("draining", "id-invalid", "storage-corrupt")
WRITE = (*STORED, "revision-mismatch", "insufficient-storage", "storage-failed")


def problems(*slugs: str) -> Responses:
    """The responses of a route that may answer these problems, with examples."""
    found: Responses = {}
    for kind in sorted((_KINDS[slug] for slug in {*slugs, *ALWAYS}), key=lambda kind: (kind.status, kind.slug)):
        content: dict[str, Any] = {MEDIA_TYPE: {"schema": _ref(Problem), "examples": {}}}
        answer = found.setdefault(kind.status, {"description": HTTPStatus(kind.status).phrase, "content": content})
        example = Problem(kind.type, kind.title, kind.status, "expected …, got …; do …", "4f1c0a", ())
        answer["content"][MEDIA_TYPE]["examples"][kind.slug] = {"value": asdict(example)}
    return found


def success(status: int, description: str, example: object, media_type: str = JSON) -> Responses:
    """The answer of a route that goes well; its schema is among the components."""
    content = {"schema": _ref(type(example)), "example": json.loads(answers.json_bytes(example))}
    return {status: {"description": description, "content": {media_type: content}}}


def bytes_answer(media_type: str, description: str) -> Responses:
    """An answer that is no text."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def body(schema: type[Schema], *media_types: str) -> dict[str, Any]:
    """A request body that may come in any of these forms."""
    content = {kind: _form(schema) if kind == FORM else {"schema": _ref(schema)} for kind in media_types}
    return {"required": True, "content": content}


def _form(schema: type[Schema]) -> dict[str, Any]:
    # As the JSON, with the picture as a file and without null: a part is there or not.
    form = schema.model_json_schema()
    fields = form["properties"]
    del fields["image_base64"]
    for name, field in fields.items():
        field |= field.pop("anyOf", [{}])[0]
        # An array would be as many parts; an object is one of JSON without more words.
        fields[name] = _TEXT | {"contentMediaType": JSON, "contentSchema": field} if name == "exclude" else field
    fields["image"] = _TEXT | {"format": "binary", "description": "JPEG, PNG, WebP, GIF or AVIF"}
    return {"schema": form}


def lines_body(schemas: Sequence[type[Schema]]) -> dict[str, Any]:
    """A body of NDJSON."""
    lines = {"oneOf": [_ref(schema) for schema in schemas]}
    return {"required": True, "content": {"application/x-ndjson": {"schema": lines}}}


def query(schema: type[Schema]) -> list[dict[str, Any]]:
    """The parameters of a query string; objects are sent as JSON."""
    return [
        {"name": name, "in": "query"}
        | ({"content": {JSON: {"schema": field}}} if name == "filter" else {"schema": field})
        for name, field in schema.model_json_schema()["properties"].items()
    ]


def header(name: str, description: str, schema: Mapping[str, object] = _TEXT) -> dict[str, Any]:
    """An optional request header."""
    return {"name": name, "in": "header", "schema": schema, "description": description}


_IF_MATCH = _TEXT | {"pattern": rf"^(\*|{TAGS})$", "examples": ['"7"']}
PRECONDITIONS = [
    header("If-Match", "`*` or the ETags of which the stored posting must have one; 412 otherwise", _IF_MATCH),
    header("If-None-Match", "`*`: there must be no such posting; 412 otherwise", _TEXT | {"enum": ["*"]}),
]


def document(app: FastAPI) -> dict[str, Any]:
    """The whole OpenAPI document."""
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    kinds: list[type] = [kind for kind in vars(answers).values() if isinstance(kind, type) and is_dataclass(kind)]
    for kind in (*kinds, *BODIES):
        schema = TypeAdapter(kind).json_schema(ref_template=_REFS)
        schemas.update(schema.pop("$defs", {}) | {kind.__name__: schema})
    for kind in kinds:  # an answer has all its fields, also those with a default
        schemas[kind.__name__]["required"] = list(schemas[kind.__name__]["properties"])
    for path, operations in found["paths"].items():
        common = (_PATH_ID, *_COMMON_HEADERS) if "{posting_id}" in path else _COMMON_HEADERS
        for operation in operations.values():
            operation["parameters"] = [*operation.get("parameters", ()), *common]
    return found


_ID_SCHEMA = TypeAdapter(PostingId).json_schema()
_PATH_ID = {"name": "posting_id", "in": "path", "required": True, "schema": _ID_SCHEMA}
_TIMEOUT_MS = {"type": "integer", "minimum": 1, "maximum": MAX_TIMEOUT_MS}
_COMMON_HEADERS = (
    header("X-Request-Id", "comes back in the answer and in the log; one is made where none is sent"),
    header("X-Request-Timeout-Ms", "the caller's deadline in milliseconds; 504 when it passes", _TIMEOUT_MS),
)


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": _REFS.format(model=kind.__name__)}
