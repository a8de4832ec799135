"""Bulk loads: operations as lines, cut into requests that the service takes and that memory can hold."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue, ValidationError

from kembar_client.answers import BulkAnswer
from kembar_client.errors import REFUSALS, BadAnswer, KembarError, ServiceFault
from kembar_client.requests import Answer, Call, checked

MAX_LINES = 1000
MAX_BYTES = 64 * 1024 * 1024
IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Put:
    """Store this whole posting."""

    posting_id: str
    title: str | None = None
    image: bytes | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change title or metadata of a stored posting; None leaves a field as it is."""

    posting_id: str
    title: str | None = None
    metadata: Mapping[str, JsonValue] | None = None


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
    ids: set[str] = set()
    lines: list[bytes] = []
    size = before = 0
    for operation in operations:
        line = line_of(operation)
        if lines and (len(lines) >= max_lines or size + len(line) > max_bytes):
            yield Batch(before, len(lines), frozenset(ids), b"".join(lines))
            before += len(lines)
            ids, lines, size = set(), [], 0
        ids.add(operation.posting_id)
        lines.append(line)
        size += len(line)
    if lines:
        yield Batch(before, len(lines), frozenset(ids), b"".join(lines))


def line_of(operation: Operation) -> bytes:
    r"""
    One line of NDJSON.

    >>> line_of(Delete("m1"))
    b'{"op":"delete","posting_id":"m1"}\n'
    """
    fields: dict[str, JsonValue] = {"posting_id": operation.posting_id}
    match operation:
        case Put():
            fields = {"op": "put", **fields, "metadata": dict(operation.metadata)}
        case Patch():
            fields = {"op": "patch", **fields}
            if operation.metadata is not None:
                fields["metadata"] = dict(operation.metadata)
        case Delete():
            fields = {"op": "delete", **fields}
    if isinstance(operation, (Put, Patch)) and operation.title is not None:
        fields["title"] = operation.title
    if isinstance(operation, Put) and operation.image is not None:
        fields["image_base64"] = base64.b64encode(operation.image).decode()
    return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def must_wait(batch: Batch, in_flight: Iterable[Batch]) -> bool:
    """Whether a batch may not be sent yet: too many are out, or one of them touches the same posting."""
    out = list(in_flight)
    return len(out) >= IN_FLIGHT or any(not batch.posting_ids.isdisjoint(other.posting_ids) for other in out)


def call_of(batch: Batch) -> Call[list[BulkAnswer]]:
    """`POST /v1/bulk`; puts, patches and deletes may be repeated, so the request may."""
    headers = {"content-type": "application/x-ndjson"}
    return Call("POST", "/v1/bulk", _reader(batch), headers=headers, content=batch.body)


def _reader(batch: Batch) -> Callable[[Answer], list[BulkAnswer]]:
    def read(answer: Answer) -> list[BulkAnswer]:
        try:
            answers = [BulkAnswer.model_validate_json(line) for line in checked(answer).body.splitlines()]
        except ValidationError as exc:
            raise BadAnswer(f"expected a bulk answer, got something else: {exc.error_count()} differences") from exc
        if len(answers) != batch.line_count:
            raise _cut_short(batch, answers)
        return [one.model_copy(update={"line": batch.lines_before + one.line}) for one in answers]

    return read


def _cut_short(batch: Batch, answers: list[BulkAnswer]) -> KembarError:
    last = answers[-1].problem if answers else None
    if last is not None and len(answers) < batch.line_count:  # the service stopped early and its last line says why
        return REFUSALS.get(last.status, ServiceFault)(last)
    return BadAnswer(f"expected {batch.line_count} bulk answers, got {len(answers)}")
