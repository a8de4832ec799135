"""Requests as checked values: bodies, queries and preconditions."""

import re
from collections.abc import Mapping

from starlette.requests import Request

from index.postings import Precondition
from service.bodies import MAX_JSON_BYTES, chunks, media_type, parse_json, require_media_type
from service.errors import DuplicateField, MalformedHeader
from service.multipart import read_form
from service.schemas import S, Schema, typed, validated

_TAG = '(W/)?"[!#-~]*"'
TAGS = rf"{_TAG}(\s*,\s*{_TAG})*"
_REVISION = re.compile(r'(?<!W/)"([0-9]{1,18})"')
FORM, JSON = "multipart/form-data", "application/json"


async def from_json(request: Request, schema: type[S]) -> S:
    """A JSON body as its schema."""
    require_media_type(request, JSON)
    return validated(schema, parse_json(b"".join([chunk async for chunk in chunks(request, MAX_JSON_BYTES)])))


async def from_form(request: Request, schema: type[S]) -> S:
    """A multipart body as the same schema; what is `image_base64` in JSON is the file part `image` here."""
    names = {field.alias or name for name, field in schema.model_fields.items()}
    form = await read_form(request, names - {"image_base64"} | {"image"})
    image = {} if form.image is None else {"image_base64": form.image}
    return validated(schema, typed(form.fields) | image)


async def from_form_or_json(request: Request, schema: type[S]) -> S:
    """Either of both, by Content-Type."""
    require_media_type(request, FORM, JSON)
    return await (from_form if media_type(request) == FORM else from_json)(request, schema)


def from_query(request: Request, schema: type[S]) -> S:
    """The query string as its schema. Raises DuplicateField, InvalidRequest, MalformedJson."""
    pairs = request.query_params.multi_items()
    fields: Mapping[str, str] = dict(pairs)
    if len(fields) != len(pairs):
        raise DuplicateField("expected each query parameter once, got one twice; send it once")
    return validated(schema, typed(fields))


def no_query(request: Request) -> None:
    """Raises UnknownField where a call without parameters gets some."""
    from_query(request, Schema)


def precondition_of(request: Request) -> Precondition:
    """What If-Match and If-None-Match ask of a write; tags that are not ours match nothing. Raises MalformedHeader."""
    if_match, if_none_match = _list_header(request, "if-match"), _list_header(request, "if-none-match")
    if if_none_match not in (None, "*"):
        raise MalformedHeader("expected '*' in If-None-Match of a write, got something else")
    if if_match not in (None, "*") and not re.fullmatch(TAGS, if_match):
        raise MalformedHeader("expected '*' or quoted tags in If-Match, got something else; send an ETag as it came")
    named = None if if_match in (None, "*") else frozenset(int(tag) for tag in _REVISION.findall(if_match))
    return Precondition(named, must_exist=if_match == "*", must_not_exist=if_none_match == "*")


def _list_header(request: Request, name: str) -> str | None:
    # One that is there and empty is no header left out: it would turn a guarded write into an unguarded one.
    values = request.headers.getlist(name)
    return ", ".join(values).strip() if values else None


def etag(revision: int) -> dict[str, str]:
    """The ETag header of a revision."""
    return {"ETag": f'"{revision}"'}
