"""Bulk loads: operations as lines, cut into requests that the service takes and that memory can hold."""

import base64
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from httpx import Response

from kembar_client.answers import BulkAnswer
from kembar_client.errors import BadAnswer, refused
from kembar_client.requests import Call, Metadata, check, parsed, present

MAX_LINES = 1000
MAX_BYTES = 64 * 1024 * 1024
IN_FLIGHT = 2


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


@dataclass(frozen=True, slots=True)
class Batch:
    """The `line_count` lines of one request. `lines_before` counts those of earlier requests."""

    lines_before: int
    line_count: int
    posting_ids: frozenset[str]
    body: bytes


def split(operations: Iterable[Operation], max_lines: int, max_bytes: int) -> Iterator[Batch]:
    """Cut operations into batches of at most `max_lines` lines and `max_bytes` bytes; a longer line goes alone."""
    before, ids, body = 0, list[str](), bytearray()
    for operation in operations:
        line = line_of(operation)
        if ids and (len(ids) >= max_lines or len(body) + len(line) > max_bytes):
            yield Batch(before, len(ids), frozenset(ids), bytes(body))
            before, ids, body = before + len(ids), [], bytearray()
        ids.append(operation.posting_id)
        body += line
    if ids:
        yield Batch(before, len(ids), frozenset(ids), bytes(body))


def line_of(operation: Operation) -> bytes:
    r"""
    One line of NDJSON.

    >>> line_of(Delete("m1"))
    b'{"op":"delete","posting_id":"m1"}\n'
    """
    fields: dict[str, object] = {"op": type(operation).__name__.lower(), "posting_id": operation.posting_id}
    if not isinstance(operation, Delete):
        fields |= {"title": operation.title, "metadata": operation.metadata}
    if isinstance(operation, Put) and operation.image is not None:
        fields["image_base64"] = base64.b64encode(operation.image).decode()
    return json.dumps(present(fields), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def must_wait(batch: Batch, in_flight: Collection[Batch]) -> bool:
    """Whether a batch may not be sent yet: too many are out, or one of them touches the same posting."""
    return len(in_flight) >= IN_FLIGHT or any(batch.posting_ids & other.posting_ids for other in in_flight)


def call_of(batch: Batch) -> Call[list[BulkAnswer]]:
    """`POST /v1/bulk`; puts, patches and deletes may be repeated, so the request may."""
    headers = {"content-type": "application/x-ndjson"}
    return Call("POST", "/v1/bulk", partial(_read, batch), headers=headers, content=batch.body)


def _read(batch: Batch, response: Response) -> list[BulkAnswer]:
    check(response)
    answers = [parsed(BulkAnswer, line) for line in response.content.splitlines()]
    if answers and len(answers) < batch.line_count and (problem := answers[-1].problem):
        raise refused(problem)  # the service stopped early, and its last line says why
    if len(answers) != batch.line_count:
        raise BadAnswer(f"expected {batch.line_count} bulk answers, got {len(answers)}")
    return [one.model_copy(update={"line": batch.lines_before + one.line}) for one in answers]
