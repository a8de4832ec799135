"""What callers send, as strict pydantic models: the same ones check JSON, forms and queries and describe them."""

import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from index.postings import Scalar
from service.bodies import parse_json
from service.bundle.picture_checks import MAX_IMAGE_BYTES
from service.bundle.title import MAX_TITLE_CODE_POINTS, check_title
from service.bundle.views import Goal
from service.errors import EmptyPosting, Finding, InvalidRequest, UnknownField
from service.posting_ids import ID_PATTERN, MAX_ID_BYTES, check_cursor, check_id

MAX_MATCHES = 50
MAX_OFFSET = 10_000
MAX_EXCLUDED = 1_000
MAX_LISTED = 1_000
MAX_LISTED_WITH_VECTORS = 100
MAX_LINES = 1_000
MAX_BULK_BYTES = 64 * 1024 * 1024
MAX_METADATA_BYTES = 4_096
_JSON_FIELDS = frozenset({"metadata", "filter", "exclude"})
_NUMBER_FIELDS = frozenset({"limit", "offset", "threshold"})
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_SURROGATES = re.compile("[\ud800-\udfff]")
T = TypeVar("T")


def _title(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return check_title(value)


def _image(value: object) -> bytes:
    if isinstance(value, bytes):  # the file part of a form; JSON has no bytes
        return value
    if not isinstance(value, str):
        raise ValueError("expected a string of base64")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as exc:  # binascii.Error is one, and so is text beyond ASCII
        raise ValueError("expected base64 with its padding, without line breaks") from exc


def _metadata(value: T) -> T:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if _SURROGATES.search(text) or len(text.encode()) > MAX_METADATA_BYTES:
        raise ValueError(f"expected at most {MAX_METADATA_BYTES} bytes as JSON, of valid Unicode")
    return value


def _filter(value: object) -> Mapping[str, Scalar]:
    if not isinstance(value, dict) or not all(isinstance(one, Scalar) for one in value.values()):
        raise ValueError("expected an object of strings, numbers, booleans or null")
    return _metadata(value)


def _text(max_length: int, example: str, pattern: str = r"\S") -> WithJsonSchema:
    rules: dict[str, JsonValue] = {"minLength": 1, "maxLength": max_length, "pattern": pattern}
    return WithJsonSchema({"type": "string", **rules, "examples": [example]})


def _object(values: JsonValue) -> WithJsonSchema:
    return WithJsonSchema({"type": "object", "additionalProperties": values, "examples": [{"shop": "one"}]})


_SCALAR: JsonValue = {"type": ["string", "number", "boolean", "null"]}
_BASE64 = WithJsonSchema({"type": "string", "contentEncoding": "base64", "maxLength": MAX_IMAGE_BYTES * 4 // 3 + 4})
_GOAL = WithJsonSchema({"type": "string", "enum": list(Goal)})
PostingId = Annotated[str, PlainValidator(check_id), _text(MAX_ID_BYTES, "MH01-XS-Black", ID_PATTERN)]
Title = Annotated[str, PlainValidator(_title), _text(MAX_TITLE_CODE_POINTS, "Red plate")]
Base64Image = Annotated[bytes, PlainValidator(_image), _BASE64]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_metadata), _object(True)]
Filter = Annotated[dict[str, Scalar], PlainValidator(_filter), _object(_SCALAR)]
Cursor = Annotated[str, PlainValidator(check_cursor), _text(2 * MAX_ID_BYTES, "TUgwMQ")]
GoalField = Annotated[Goal, Field(strict=False), _GOAL]


class Schema(BaseModel):
    """The strictness of all that is sent: no unknown field, no number in quotes, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Content(Schema):
    """A picture, a title, or both."""

    title: Title | None = None
    image: Base64Image | None = Field(default=None, alias="image_base64")

    def is_empty(self) -> bool:
        """Whether there is neither picture nor title."""
        return self.title is None and self.image is None

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if self.is_empty():
            raise EmptyPosting("expected a picture, a title or both, got neither")
        return self


class MatchOptions(Schema):
    """What a caller may choose about the matches of a stored posting. A `threshold` counts instead of the goal."""

    limit: int = Field(default=MAX_MATCHES, ge=1, le=MAX_MATCHES, description="most matches to answer")
    goal: GoalField = Goal.BALANCED
    threshold: float | None = Field(default=None, ge=-1, le=1, description="fused score from which to accept")
    filter: Filter | None = Field(default=None, description="metadata fields that must be equal")


class StoredMatchOptions(MatchOptions):
    """The query of a stored posting's matches."""

    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="how many of the best matches to pass over")


class MatchRequest(MatchOptions, Content):
    """`POST /v1/matches`."""

    exclude: list[PostingId] = Field(default=[], max_length=MAX_EXCLUDED, description="posting ids to leave out")


class PutRequest(Content):
    """The whole of a posting."""

    metadata: Metadata = {}


class PutOptions(Schema):
    """The query of a PUT."""

    matches: Literal["true", "false"] = Field(default="false", description="also answer what the posting matches")


class PatchRequest(Schema):
    """What to change; an absent field stays."""

    title: Title | SkipJsonSchema[None] = Field(default=None, description="the new title")
    metadata: Metadata | SkipJsonSchema[None] = Field(default=None, description="the new metadata, as a whole")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("expected no null; leave out what shall stay")
        if self.title is None and self.metadata is None:
            raise ValueError("expected title, metadata or both")
        return self


class PictureOptions(Schema):
    """The query for a picture."""

    size: Literal["stored", "thumbnail"] = "stored"


class ListOptions(Schema):
    """The query of the listing."""

    after: Cursor | None = Field(default=None, alias="cursor", description="`next_cursor` of the page before")
    limit: int = Field(default=100, ge=1, le=MAX_LISTED)
    filter: Filter | None = None
    vectors: Literal["true", "false"] = Field(default="false", description="with vectors, at most 100 postings a page")


class Side(Content):
    """One side of a comparison: a stored posting by id, or an inline one."""

    posting_id: PostingId | None = None

    def is_empty(self) -> bool:
        """Whether nothing is named at all."""
        return self.posting_id is None and super().is_empty()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.posting_id is not None and not super().is_empty():
            raise ValueError("expected a posting_id, or a title and a picture, got both; leave one out")
        return self


class CompareRequest(Schema):
    """`POST /v1/compare`."""

    a: Side
    b: Side


class BulkPut(PutRequest):
    """Store this whole posting."""

    op: Literal["put"]
    posting_id: PostingId


class BulkPatch(PatchRequest):
    """Change title or metadata of a stored posting."""

    op: Literal["patch"]
    posting_id: PostingId


class BulkDelete(Schema):
    """Remove a posting."""

    op: Literal["delete"]
    posting_id: PostingId


BODIES = (Content, MatchRequest, PutRequest, PatchRequest, CompareRequest, BulkPut, BulkPatch, BulkDelete)
S = TypeVar("S", bound=Schema)


def validated(schema: type[S], value: object) -> S:
    """Check a parsed JSON value. Raises UnknownField, InvalidRequest with pointers; what was sent is not repeated."""
    try:
        return schema.model_validate(value)
    except ValidationError as exc:
        faults = exc.errors(include_url=False, include_input=False, include_context=False)
    findings = [Finding(_pointer(fault["loc"]), fault["msg"].removeprefix("Value error, ")) for fault in faults[:20]]
    if any(fault["type"] == "extra_forbidden" for fault in faults):
        known = ", ".join(schema.model_fields)
        raise UnknownField(f"expected the fields {known}, got another; leave it out", findings)
    raise InvalidRequest("expected a request as the schema says, got one with faults; see errors", findings)


def typed(fields: Mapping[str, str]) -> dict[str, object]:
    """
    Give the text fields of a form or a query the types that they would have in JSON.

    >>> typed({"limit": "5", "title": "5", "filter": '{"shop": 5}'})
    {'limit': 5, 'title': '5', 'filter': {'shop': 5}}
    """
    return {name: _typed(name, text) for name, text in fields.items()}


def _typed(name: str, text: str) -> object:
    if name in _JSON_FIELDS:
        return parse_json(text.encode())
    if name in _NUMBER_FIELDS and _JSON_NUMBER.fullmatch(text):
        return json.loads(text)
    return text


def _pointer(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location]
    if any(len(part) > 64 or not part.isprintable() for part in parts):
        return ""  # a name that a caller made up at length is no place that we name back to him
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)
