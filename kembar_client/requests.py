"""
Every call of the interface as data: what to send, and how to read what comes back.

Nothing here does input or output: a client, blocking or not, has these functions as its methods.
"""

import base64
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import quote

from httpx import Response
from pydantic import BaseModel, JsonValue, ValidationError

from kembar_client.answers import (
    Comparison,
    Embeddings,
    Goal,
    Limits,
    MatchAnswer,
    Matched,
    ModelCard,
    Posting,
    PostingPage,
    Problem,
    Readiness,
    Written,
)
from kembar_client.errors import BadAnswer, Refused, refused

T = TypeVar("T")
A = TypeVar("A", bound=BaseModel)
Metadata = Mapping[str, JsonValue]
Where = Mapping[str, str | int | float | bool]
Form = Mapping[str, tuple[str | None, bytes]]
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Content:
    """A posting that is sent along instead of being named: a title, a picture, or both."""

    title: str | None = None
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One request and how its answer is read.

    `form` is multipart: per field a file name, or None, and the content. `timeout_s` None is the client's own.
    """

    method: str
    path: str
    read: Callable[[Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Form = field(default_factory=dict)
    content: bytes | None = None
    timeout_s: float | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent twice: a condition that was met once may fail for the same request sent again."""
        return "if-match" not in self.headers


def match(
    *,
    image: bytes | None = None,
    title: str | None = None,
    limit: int = 50,
    goal: Goal | None = None,
    threshold: float | None = None,
    where: Where | None = None,
    exclude: Sequence[str] = (),
) -> Call[MatchAnswer]:
    """Find stored postings that show the same product; `threshold`, a fused score, replaces the one of `goal`."""
    fields = {"title": title, "limit": limit, "goal": goal, "threshold": threshold}
    form = _form(image, {**fields, "filter": where or None, "exclude": list(exclude) or None})
    return Call("POST", "/v1/matches", partial(_read, MatchAnswer), form=form)


def matches_of(
    posting_id: str,
    *,
    limit: int = 50,
    goal: Goal | None = None,
    threshold: float | None = None,
    where: Where | None = None,
) -> Call[MatchAnswer]:
    """Find what matches a stored posting, itself left out; raises `NotFound`."""
    params = _texts({"limit": limit, "goal": goal, "threshold": threshold, "filter": where or None})
    return Call("GET", f"{_path(posting_id)}/matches", partial(_read, MatchAnswer), params)


def put(
    posting_id: str,
    *,
    image: bytes | None = None,
    title: str | None = None,
    metadata: Metadata | None = None,
    if_revision: int | None = None,
) -> Call[Written]:
    """Store the whole posting, in place of what was there; raises `PreconditionFailed` at another `if_revision`."""
    form = _form(image, {"title": title, "metadata": metadata or {}})
    return Call("PUT", _path(posting_id), partial(_read, Written), headers=_if_match(if_revision), form=form)


def put_and_match(
    posting_id: str, *, image: bytes | None = None, title: str | None = None, metadata: Metadata | None = None
) -> Call[Matched]:
    """Store the whole posting and say in `matches` which others show the same product, at the goal `balanced`."""
    form = _form(image, {"title": title, "metadata": metadata or {}})
    return Call("PUT", _path(posting_id), partial(_read, Matched), {"matches": "true"}, form=form)


def patch(
    posting_id: str, *, title: str | None = None, metadata: Metadata | None = None, if_revision: int | None = None
) -> Call[Written]:
    """Change title or metadata (replaced as a whole); None leaves it as it is, and the picture stays."""
    headers = {**_JSON, **_if_match(if_revision)}
    content = _json(present({"title": title, "metadata": metadata})).encode()
    return Call("PATCH", _path(posting_id), partial(_read, Written), headers=headers, content=content)


def delete(posting_id: str, *, if_revision: int | None = None) -> Call[None]:
    """Remove a posting; one that is not there is no error."""
    return Call("DELETE", _path(posting_id), check, headers=_if_match(if_revision))


def get(posting_id: str) -> Call[Posting]:
    """What is stored under an id; raises `NotFound`."""
    return Call("GET", _path(posting_id), partial(_read, Posting))


def picture(posting_id: str, *, thumbnail: bool = False) -> Call[bytes]:
    """The stored picture as JPEG, or its thumbnail of 256 pixels; raises `NotFound` also where none is kept."""
    params = {"size": "thumbnail"} if thumbnail else {}
    return Call("GET", f"{_path(posting_id)}/image", _read_bytes, params)


def listing(
    *, cursor: str | None = None, limit: int = 1000, where: Where | None = None, with_vectors: bool = False
) -> Call[PostingPage]:
    """One page of the stored postings in order of id; `cursor` is the `next_cursor` of the page before."""
    vectors = "true" if with_vectors else None
    params = _texts({"limit": limit, "cursor": cursor, "filter": where or None, "vectors": vectors})
    return Call("GET", "/v1/postings", partial(_read, PostingPage), params)


def first_page(where: Where | None, with_vectors: bool) -> Call[PostingPage]:
    """The listing that a scan of everything starts with."""
    # The vectors of a posting take some 20 KB of JSON.
    return listing(limit=100 if with_vectors else 1000, where=where, with_vectors=with_vectors)


def page_after(call: Call[PostingPage], page: PostingPage) -> Call[PostingPage] | None:
    """What to ask for after `call` was answered by `page`; None after the last one."""
    if page.next_cursor is None:
        return None
    return replace(call, params={**call.params, "cursor": page.next_cursor})


def compare(a: str | Content, b: str | Content) -> Call[Comparison]:
    """Say whether two postings show one product; each is the id of a stored one, or is sent along."""
    content = _json({"a": _side(a), "b": _side(b)}).encode()
    return Call("POST", "/v1/compare", partial(_read, Comparison), headers=_JSON, content=content)


def embeddings(*, image: bytes | None = None, title: str | None = None) -> Call[Embeddings]:
    """The unit vector of each view that is sent."""
    return Call("POST", "/v1/embeddings", partial(_read, Embeddings), form=_form(image, {"title": title}))


def model() -> Call[ModelCard]:
    """Encoders, thresholds and measured figures of the service."""
    return Call("GET", "/v1/model", partial(_read, ModelCard))


def limits() -> Call[Limits]:
    """How much a call may hold."""
    return Call("GET", "/v1/limits", partial(_read, Limits))


def ready() -> Call[Readiness]:
    """Whether the service takes work; "not ready" is an answer, not an error."""
    return Call("GET", "/readyz", partial(_read, Readiness, also=(503,)))


def check(response: Response) -> None:
    """Raises Refused where a response is no success."""
    if not response.is_success:
        raise refusal(response)


def refusal(response: Response) -> Refused:
    """The exception for a response that is no success."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        detail = "the answer carries no problem document: does the address lead to Kembar?"
        problem = Problem(title="Unexpected answer", status=response.status_code, detail=detail)
    return refused(problem, _retry_after_s(response.headers.get("retry-after")))


def parsed(kind: type[A], data: bytes) -> A:
    """A model out of its JSON; raises BadAnswer."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as exc:
        raise BadAnswer(f"expected a {kind.__name__}, got something else: {exc.error_count()} differences") from exc


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that are not None, any mapping among them as a dict."""
    given = {name: value for name, value in fields.items() if value is not None}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items()}


def _read(kind: type[A], response: Response, also: Collection[int] = ()) -> A:
    if response.status_code not in also:
        check(response)
    return parsed(kind, response.content)


def _read_bytes(response: Response) -> bytes:
    check(response)
    return response.content


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _texts(fields: Mapping[str, object]) -> dict[str, str]:
    given = present(fields)
    return {name: _json(value) if isinstance(value, (dict, list)) else str(value) for name, value in given.items()}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _form(image: bytes | None, fields: Mapping[str, object]) -> Form:
    texts: Form = {name: (None, text.encode()) for name, text in _texts(fields).items()}
    return texts if image is None else {"image": ("image", image), **texts}


def _side(posting: str | Content) -> dict[str, object]:
    if isinstance(posting, str):
        return {"posting_id": posting}
    image = None if posting.image is None else base64.b64encode(posting.image).decode()
    return present({"title": posting.title, "image_base64": image})


def _if_match(revision: int | None) -> Mapping[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}


def _path(posting_id: str) -> str:
    # Dots too: a path of dots would be resolved away before it is sent.
    return f"/v1/postings/{quote(posting_id, safe='').replace('.', '%2E')}"
