"""A bulk load: lines are read, applied side by side, and answered in order while more arrive."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from index.postings import ANY
from service.answers import BulkLine, json_bytes
from service.bodies import BODY_SECONDS, MAX_JSON_BYTES, next_chunk, parse_json, too_large
from service.errors import BodyTooLarge, Finding, InvalidRequest, ServiceError
from service.jobs import Priority
from service.posting_ids import check_id
from service.problems import kind_of, problem_of
from service.schemas import MAX_BULK_BYTES, MAX_LINES, BulkDelete, BulkPatch, BulkPut, validated
from service.services import Services

NDJSON = "application/x-ndjson"
MAX_LINE_BYTES = MAX_JSON_BYTES
Operation: TypeAlias = BulkPut | BulkPatch | BulkDelete
_OPERATIONS: Mapping[str, type[Operation]] = {"put": BulkPut, "patch": BulkPatch, "delete": BulkDelete}


async def lines_of(request: Request) -> AsyncIterator[bytes]:
    """The lines of a body, as they arrive; a CR before LF is white space to JSON. Raises BodyTooLarge, BodyTooSlow."""
    stream, buffer, is_whole = aiter(request.stream()), bytearray(), False
    lines = passed = searched = 0
    while buffer or not is_whole:
        end = buffer.find(b"\n", searched)
        length = len(buffer) if end < 0 else end
        if length > MAX_LINE_BYTES:
            raise BodyTooLarge(f"expected lines of at most {MAX_LINE_BYTES} bytes, got a longer one")
        if passed + length > MAX_BULK_BYTES:
            raise too_large(MAX_BULK_BYTES)
        if end < 0 and not is_whole:
            searched = length
            chunk = await next_chunk(stream, asyncio.get_running_loop().time() + BODY_SECONDS)
            buffer += chunk or b""
            is_whole = chunk is None
            continue
        lines += 1
        if lines > MAX_LINES:
            raise BodyTooLarge(f"expected at most {MAX_LINES} lines, got more; send the rest in another request")
        line = bytes(buffer[:length])
        del buffer[: length + 1]
        passed, searched = passed + length + 1, 0
        yield line


class BulkResponse(Response):
    """
    The answer to a bulk load, sent line by line while the request is still being read.

    Starlette's streaming response would wait for the client to leave, and take the rest of the body for that.
    """

    def __init__(self, first: bytes, lines: AsyncIterator[bytes], services: Services, request_id: str) -> None:
        super().__init__(media_type=NDJSON)
        del self.headers["content-length"]
        self._first, self._lines, self._request_id = first, lines, request_id
        self._catalogue, self._gate, self._metrics = services.catalogue, services.bulk_gate, services.metrics
        self._latest: dict[str, asyncio.Task[bytes] | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Bounded, so that a client that does not read its answers is not read from either.
        begun: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(MAX_LINES)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(begun))
            while (line := await begun.get()) is not None:
                await send({"type": "http.response.body", "body": await line + b"\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _read(self, begun: "asyncio.Queue[asyncio.Task[bytes] | None]") -> None:
        number = 1
        await begun.put(await self._begin(number, self._first))
        try:
            async for line in self._lines:
                number += 1
                await begun.put(await self._begin(number, line))
        except ServiceError as exc:
            await begun.put(asyncio.create_task(self._refused(number + 1, None, exc)))
        except ClientDisconnect:
            pass  # what was read is finished
        await begun.put(None)

    async def _begin(self, number: int, line: bytes) -> asyncio.Task[bytes]:
        await self._gate.enter(len(line))
        return asyncio.create_task(self._answered(number, line))

    async def _answered(self, number: int, line: bytes) -> bytes:
        posting_id = None
        try:
            fields = _fields(line)
            posting_id = check_id(fields.get("posting_id"))
            operation = validated(_OPERATIONS[str(fields["op"])], fields)
            # Tasks start in the order of their lines: whoever is found here is the line before of the same posting.
            earlier, self._latest[posting_id] = self._latest.get(posting_id), asyncio.current_task()
            if earlier is not None:
                await earlier
            return json_bytes(BulkLine(number, posting_id, await self._apply(operation), None))
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with a line is told in its answer
            return await self._refused(number, posting_id, exc)
        finally:
            self._gate.leave(len(line))

    async def _apply(self, operation: Operation) -> int:
        match operation:
            case BulkPut():
                stored = await self._catalogue.put(operation.posting_id, operation, ANY, Priority.BULK)
                return 201 if stored.written.created else 200
            case BulkPatch():
                await self._catalogue.patch(operation.posting_id, operation, ANY, Priority.BULK)
                return 200
            case BulkDelete():
                await self._catalogue.delete(operation.posting_id)
                return 204

    async def _refused(self, number: int, posting_id: str | None, exc: Exception) -> bytes:
        self._metrics.problems.labels(kind_of(exc).slug).inc()
        problem = problem_of(exc, self._request_id)
        return json_bytes(BulkLine(number, posting_id, problem.status, problem))


def _fields(line: bytes) -> dict[str, object]:
    fields = parse_json(line)
    if not isinstance(fields, dict) or str(fields.get("op")) not in _OPERATIONS:
        message = f"expected an object with op {', '.join(_OPERATIONS)}, got another"
        raise InvalidRequest(message, [Finding("/op", message)])
    return fields
