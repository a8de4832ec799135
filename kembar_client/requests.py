"""
Every call of the interface as data: what to send, and how to read what comes back.

Nothing here does input or output: a client, blocking or not, has these functions as its methods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar
from urllib.parse import quote

from httpx import Response
from pydantic import JsonValue

from kembar_client import answers
from kembar_client.answers import Goal
from kembar_client.wire import Form, answer, check, content, form, json_text, present, texts

T = TypeVar("T")
Metadata = Mapping[str, JsonValue]
Where = Mapping[str, str | int | float | bool | None]
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
) -> Call[answers.MatchAnswer]:
    """Find stored postings that show the same product; `threshold`, a fused score, replaces the one of `goal`."""
    fields = {"title": title, "limit": limit, "goal": goal, "threshold": threshold}
    parts = form(image, {**fields, "filter": where or None, "exclude": list(exclude) or None})
    return Call("POST", "/v1/matches", answer(answers.MatchAnswer), form=parts)


def matches_of(
    posting_id: str,
    *,
    limit: int = 50,
    offset: int = 0,
    goal: Goal | None = None,
    threshold: float | None = None,
    where: Where | None = None,
) -> Call[answers.MatchAnswer]:
    """Find what matches a stored posting, itself and the `offset` best left out; raises `NotFound`."""
    fields = {"limit": limit, "offset": offset or None, "goal": goal, "threshold": threshold}
    params = texts({**fields, "filter": where or None})
    return Call("GET", f"{_path(posting_id)}/matches", answer(answers.MatchAnswer), params)


def put(
    posting_id: str,
    *,
    image: bytes | None = None,
    title: str | None = None,
    metadata: Metadata | None = None,
    if_revision: int | None = None,
) -> Call[answers.Written]:
    """Store the whole posting, in place of what was there; raises `PreconditionFailed` at another `if_revision`."""
    parts = form(image, {"title": title, "metadata": metadata or {}})
    return Call("PUT", _path(posting_id), answer(answers.Written), headers=_if_match(if_revision), form=parts)


def put_and_match(
    posting_id: str, *, image: bytes | None = None, title: str | None = None, metadata: Metadata | None = None
) -> Call[answers.Matched]:
    """Store the whole posting and say in `matches` which others show the same product, at the goal `balanced`."""
    parts = form(image, {"title": title, "metadata": metadata or {}})
    return Call("PUT", _path(posting_id), answer(answers.Matched), {"matches": "true"}, form=parts)


def patch(
    posting_id: str, *, title: str | None = None, metadata: Metadata | None = None, if_revision: int | None = None
) -> Call[answers.Written]:
    """Change title or metadata (replaced as a whole); None leaves it as it is, and the picture stays."""
    headers = {**_JSON, **_if_match(if_revision)}
    body = json_text(present({"title": title, "metadata": metadata})).encode()
    return Call("PATCH", _path(posting_id), answer(answers.Written), headers=headers, content=body)


def delete(posting_id: str, *, if_revision: int | None = None) -> Call[None]:
    """Remove a posting; one that is not there is no error."""
    return Call("DELETE", _path(posting_id), check, headers=_if_match(if_revision))


def get(posting_id: str) -> Call[answers.Posting]:
    """What is stored under an id; raises `NotFound`."""
    return Call("GET", _path(posting_id), answer(answers.Posting))


def picture(posting_id: str, *, thumbnail: bool = False) -> Call[bytes]:
    """The stored picture as JPEG, or its thumbnail of 256 pixels; raises `NotFound` also where none is kept."""
    params = {"size": "thumbnail"} if thumbnail else {}
    return Call("GET", f"{_path(posting_id)}/image", content, params)


def listing(
    *, cursor: str | None = None, limit: int = 1000, where: Where | None = None, with_vectors: bool = False
) -> Call[answers.PostingPage]:
    """One page of the stored postings in order of id; `cursor` is the `next_cursor` of the page before."""
    vectors = "true" if with_vectors else None
    params = texts({"limit": limit, "cursor": cursor, "filter": where or None, "vectors": vectors})
    return Call("GET", "/v1/postings", answer(answers.PostingPage), params)


def first_page(where: Where | None, with_vectors: bool) -> Call[answers.PostingPage]:
    """The listing that a scan of everything starts with."""
    # The vectors of a posting take some 20 KB of JSON.
    return listing(limit=100 if with_vectors else 1000, where=where, with_vectors=with_vectors)


def page_after(call: Call[answers.PostingPage], page: answers.PostingPage) -> Call[answers.PostingPage] | None:
    """What to ask for after `call` was answered by `page`; None after the last one."""
    if page.next_cursor is None:
        return None
    return replace(call, params={**call.params, "cursor": page.next_cursor})


def compare(a: str | Content, b: str | Content) -> Call[answers.Comparison]:
    """Say whether two postings show one product; each is the id of a stored one, or is sent along."""
    body = json_text({"a": _side(a), "b": _side(b)}).encode()
    return Call("POST", "/v1/compare", answer(answers.Comparison), headers=_JSON, content=body)


def embeddings(*, image: bytes | None = None, title: str | None = None) -> Call[answers.Embeddings]:
    """The unit vector of each view that is sent."""
    return Call("POST", "/v1/embeddings", answer(answers.Embeddings), form=form(image, {"title": title}))


def model() -> Call[answers.ModelCard]:
    """Encoders, thresholds and measured figures of the service."""
    return Call("GET", "/v1/model", answer(answers.ModelCard))


def limits() -> Call[answers.Limits]:
    """How much a call may hold."""
    return Call("GET", "/v1/limits", answer(answers.Limits))


def ready() -> Call[answers.Readiness]:
    """Whether the service takes work; "not ready" is an answer, not an error."""
    return Call("GET", "/readyz", answer(answers.Readiness, also=(503,)))


def _side(posting: str | Content) -> dict[str, object]:
    if isinstance(posting, str):
        return {"posting_id": posting}
    return present({"title": posting.title, "image_base64": posting.image})


def _if_match(revision: int | None) -> Mapping[str, str]:
    return {} if revision is None else {"if-match": f'"{revision}"'}


def _path(posting_id: str) -> str:
    # Dots too: a path of dots would be resolved away before it is sent.
    quoted = quote(posting_id, safe="", errors="surrogatepass").replace(".", "%2E")
    return f"/v1/postings/{quoted}"
