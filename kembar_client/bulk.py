"""Bulk loads: operations as lines, cut into requests that the service takes and that memory can hold."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from httpx import Response

from kembar_client.answers import BulkAnswer
from kembar_client.errors import BadAnswer, refused
from kembar_client.requests import Call, Metadata
from kembar_client.wire import check, json_text, parsed, present

MAX_LINES = 1000
MAX_BYTES = 64 * 1024 * 1024
IN_FLIGHT = 2
H = TypeVar("H")


@dataclass(frozen=True, slots=True)
class Put:
    """Store this whole posting."""

    posting_id: str
    title: str | None = None
    image: bytes | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change title or metadata of a stored posting; None leaves a field as it is."""

    posting_id: str
    title: str | None = None
    metadata: Metadata | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a posting."""

    posting_id: str


Operation = Put | Patch | Delete


class Load(Generic[H]):
    """
    The schedule of one bulk load: operations go in, requests are cut and started, and their order is kept.

    `start` sends a call and gives a handle on its answers. What `add` and `finish` yield is such a handle, and its
    answers must have come before they are asked to go on. At most `IN_FLIGHT` requests hold operations at any time.
    """

    def __init__(
        self, start: Callable[[Call[list[BulkAnswer]]], H], max_lines: int, max_bytes: int, timeout_s: float
    ) -> None:
        self._start, self._max_lines, self._max_bytes, self._timeout_s = start, max_lines, max_bytes, timeout_s
        self._ids: list[str] = []
        self._body = bytearray()
        self._lines_before = 0
        self._under_way: deque[tuple[frozenset[str], H]] = deque()

    def add(self, operation: Operation) -> Iterator[H]:
        """Take the next operation; a line that is too long for any request goes alone, for the service to refuse."""
        line = line_of(operation)
        if self._ids and len(self._body) + len(line) > self._max_bytes:
            yield from self._cut()
        self._ids.append(operation.posting_id)
        self._body += line
        if len(self._ids) >= self._max_lines:
            yield from self._cut()

    def finish(self) -> Iterator[H]:
        """Send what is left, and wait for all."""
        if self._ids:
            yield from self._cut()
        while self._under_way:
            yield self._under_way.popleft()[1]

    def under_way(self) -> list[H]:
        """The handles that were not yielded yet."""
        return [handle for _, handle in self._under_way]

    def _cut(self) -> Iterator[H]:
        ids = frozenset(self._ids)
        while any(ids & others for others, _ in self._under_way):  # a posting's operations keep their order
            yield self._under_way.popleft()[1]
        read = partial(_read, self._lines_before, len(self._ids))
        headers = {"content-type": "application/x-ndjson"}
        call = Call("POST", "/v1/bulk", read, headers=headers, content=bytes(self._body), timeout_s=self._timeout_s)
        self._lines_before += len(self._ids)
        self._ids, self._body = [], bytearray()
        self._under_way.append((ids, self._start(call)))
        while len(self._under_way) >= IN_FLIGHT:
            yield self._under_way.popleft()[1]


def line_of(operation: Operation) -> bytes:
    r"""
    One line of NDJSON.

    >>> line_of(Delete("m1"))
    b'{"op":"delete","posting_id":"m1"}\n'
    """
    fields: dict[str, object] = {"op": type(operation).__name__.lower(), "posting_id": operation.posting_id}
    if not isinstance(operation, Delete):
        fields |= {"title": operation.title, "metadata": operation.metadata}
    if isinstance(operation, Put):
        fields["image_base64"] = operation.image
    return json_text(present(fields)).encode() + b"\n"


def _read(lines_before: int, line_count: int, response: Response) -> list[BulkAnswer]:
    check(response)
    answers = [parsed(BulkAnswer, line) for line in response.content.splitlines()]
    if answers and len(answers) < line_count and (problem := answers[-1].problem):
        raise refused(problem)  # the service stopped early, and its last line says why
    if len(answers) != line_count:
        raise BadAnswer(f"expected {line_count} bulk answers, got {len(answers)}")
    return [one.model_copy(update={"line": lines_before + one.line}) for one in answers]
