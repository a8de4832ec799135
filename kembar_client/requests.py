"""
Every call of the interface as data: what to send and how to read what comes back.

Nothing here does input or output, so that one description serves every transport.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, JsonValue, ValidationError

from kembar_client.answers import MatchAnswer, ModelCard, Posting, PostingPage, Problem, Readiness, Written
from kembar_client.errors import REFUSALS, BadAnswer, Refused, ServiceFault

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)
Scalar = str | int | float | bool


class Goal(StrEnum):
    """What the caller wants of the learned threshold."""

    PRECISION_99 = "precision_99"
    BALANCED = "balanced"
    RECALL_90 = "recall_90"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One multipart field; with `filename` it is a file."""

    name: str
    content: bytes
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how its answer is read. Only an `idempotent` one may be sent twice."""

    method: str
    path: str
    read: Callable[[Answer], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    content: bytes | None = None
    idempotent: bool = True


def match(
    image: bytes | None,
    title: str | None,
    limit: int,
    goal: Goal | None,
    threshold: float | None,
    where: Mapping[str, Scalar] | None,
    exclude: Sequence[str],
) -> Call[MatchAnswer]:
    """`POST /v1/matches`; it changes nothing, so it may be repeated."""
    fields = _query(limit, goal, threshold, where)
    if exclude:
        fields["exclude"] = _json(list(exclude))
    parts = [*_content_parts(image, title), *(Part(name, value.encode()) for name, value in fields.items())]
    return Call("POST", "/v1/matches", _reader(MatchAnswer), parts=parts)


def matches_of(
    posting_id: str, limit: int, goal: Goal | None, threshold: float | None, where: Mapping[str, Scalar] | None
) -> Call[MatchAnswer]:
    """`GET /v1/postings/{posting_id}/matches`."""
    params = _query(limit, goal, threshold, where)
    return Call("GET", f"{_path(posting_id)}/matches", _reader(MatchAnswer), params=params)


def put(
    posting_id: str,
    image: bytes | None,
    title: str | None,
    metadata: Mapping[str, JsonValue],
    params: Mapping[str, str],
    conditions: Mapping[str, str],
) -> Call[Written]:
    """`PUT /v1/postings/{posting_id}`."""
    parts = [*_content_parts(image, title), Part("metadata", _json(dict(metadata)).encode())]
    return Call(
        "PUT",
        _path(posting_id),
        _reader(Written),
        params=params,
        headers=conditions,
        parts=parts,
        idempotent=not conditions,  # met once, a condition may fail for the repetition of the same request
    )


def patch(
    posting_id: str, title: str | None, metadata: Mapping[str, JsonValue] | None, conditions: Mapping[str, str]
) -> Call[Written]:
    """`PATCH /v1/postings/{posting_id}`; None leaves a field as it is."""
    change: dict[str, JsonValue] = {}
    if title is not None:
        change["title"] = title
    if metadata is not None:
        change["metadata"] = dict(metadata)
    return Call(
        "PATCH",
        _path(posting_id),
        _reader(Written),
        headers={"content-type": "application/json", **conditions},
        content=_json(change).encode(),
        idempotent=not conditions,
    )


def delete(posting_id: str, conditions: Mapping[str, str]) -> Call[None]:
    """`DELETE /v1/postings/{posting_id}`."""
    return Call("DELETE", _path(posting_id), _read_nothing, headers=conditions, idempotent=not conditions)


def get(posting_id: str) -> Call[Posting]:
    """`GET /v1/postings/{posting_id}`."""
    return Call("GET", _path(posting_id), _reader(Posting))


def listing(cursor: str | None, limit: int, where: Mapping[str, Scalar] | None) -> Call[PostingPage]:
    """`GET /v1/postings`, one page."""
    params = {"limit": str(limit)}
    if cursor is not None:
        params["cursor"] = cursor
    if where:
        params["filter"] = _json(dict(where))
    return Call("GET", "/v1/postings", _reader(PostingPage), params=params)


def model() -> Call[ModelCard]:
    """`GET /v1/model`."""
    return Call("GET", "/v1/model", _reader(ModelCard))


def ready() -> Call[Readiness]:
    """`GET /readyz`; "not ready" is an answer here, not an error."""
    return Call("GET", "/readyz", _read_readiness)


def if_revision(revision: int | None) -> Mapping[str, str]:
    """The condition that the stored revision is this one; None sets none."""
    return {} if revision is None else {"if-match": f'"{revision}"'}


def refusal(answer: Answer) -> Refused:
    """The exception for an answer that is not a success."""
    try:
        problem = Problem.model_validate_json(answer.body)
    except ValidationError:
        detail = "the answer carries no problem document: does the address lead to Kembar?"
        problem = Problem(title="Unexpected answer", status=answer.status, detail=detail)
    kind = REFUSALS.get(answer.status, ServiceFault)
    return kind(problem, _retry_after_s(answer.headers.get("retry-after")))


def checked(answer: Answer) -> Answer:
    """
    Give back an answer that is a success.

    Raises:
        Refused: it is not.
    """
    if not 200 <= answer.status < 300:
        raise refusal(answer)
    return answer


def _reader(model_type: type[A]) -> Callable[[Answer], A]:
    def read(answer: Answer) -> A:
        return _validated(model_type, checked(answer).body)

    return read


def _read_nothing(answer: Answer) -> None:
    checked(answer)


def _read_readiness(answer: Answer) -> Readiness:
    if answer.status not in (200, 503):
        raise refusal(answer)
    return _validated(Readiness, answer.body)


def _validated(model_type: type[A], body: bytes) -> A:
    try:
        return model_type.model_validate_json(body)
    except ValidationError as exc:
        raise BadAnswer(
            f"expected a {model_type.__name__}, got something else: {exc.error_count()} differences"
        ) from exc


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _query(
    limit: int, goal: Goal | None, threshold: float | None, where: Mapping[str, Scalar] | None
) -> dict[str, str]:
    fields = {"limit": str(limit)}
    if goal is not None:
        fields["goal"] = goal.value
    if threshold is not None:
        fields["threshold"] = repr(threshold)
    if where:
        fields["filter"] = _json(dict(where))
    return fields


def _content_parts(image: bytes | None, title: str | None) -> list[Part]:
    parts = []
    if image is not None:
        parts.append(Part("image", image, filename="image"))
    if title is not None:
        parts.append(Part("title", title.encode()))
    return parts


def _path(posting_id: str) -> str:
    # Dots too: a path of dots would be resolved away before it is sent.
    return f"/v1/postings/{quote(posting_id, safe='').replace('.', '%2E')}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
