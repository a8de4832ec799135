"""One request and its answer, as ASGI middleware: id, admission, deadline, headers, problems, metrics, log line."""

import asyncio
import logging
import re
import uuid
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.bodies import content_length
from service.errors import DeadlinePassed, MalformedHeader
from service.jobs import Priority
from service.problems import kind_of, problem_response
from service.services import Services
from service.stages import READ, begin, elapsed_ms, server_timing

logger = logging.getLogger(__name__)

DISCARD_BYTES = 16 * 1024 * 1024
DISCARD_SECONDS = 2.0
MAX_TIMEOUT_MS = 600_000
BULK_PATH = "/v1/bulk"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIMEOUT_MS = re.compile(r"[1-9][0-9]{0,5}")
_CLIENT_GONE = 499  # nginx's number; nobody reads the answer, the log and the metrics do


class Exchanges:
    """The outermost layer of the app; whatever is raised beneath it becomes a problem document here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, begin())
        try:
            await self._answer(exchange)
        finally:
            if exchange.watcher is not None:
                exchange.watcher.cancel()
            self._account(exchange, elapsed_ms())

    async def _answer(self, exchange: "_Exchange") -> None:
        try:
            async with asyncio.timeout(exchange.timeout_s()) as exchange.deadline:
                await self._let_in(exchange)
        except ClientDisconnect:
            exchange.gone = True
        except TimeoutError:  # the app's own are translated where they arise
            if not exchange.gone:
                await self._refuse(exchange, DeadlinePassed("X-Request-Timeout-Ms passed; allow more time"))
        except Exception as exc:  # noqa: BLE001 - the top of a request; the table of problems knows them all
            await self._refuse(exchange, exc)

    async def _let_in(self, exchange: "_Exchange") -> None:
        if not exchange.path.startswith("/v1/"):
            await self._app(exchange.scope, exchange.receive, exchange.send)
            return
        # Only what will queue; a bulk load is slowed down line by line, not refused.
        if (exchange.has_body or exchange.path.endswith("/matches")) and exchange.path != BULK_PATH:
            priority = Priority.ADDITION if exchange.scope["method"] in ("PUT", "PATCH") else Priority.QUERY
            exchange.services.admission.require_room(priority)
        with exchange.services.admission.let_in(content_length(exchange.headers) if exchange.has_body else 0):
            await self._app(exchange.scope, exchange.receive, exchange.send)

    async def _refuse(self, exchange: "_Exchange", exc: Exception) -> None:
        exchange.services.metrics.problems.labels(kind_of(exc).slug).inc()
        response = problem_response(exc, exchange.request_id)
        if exchange.status is None:  # an answer that has begun is cut off instead: the server closes the connection
            await response(exchange.scope, exchange.receive, exchange.send)

    def _account(self, exchange: "_Exchange", ms: float) -> None:
        route = getattr(exchange.scope.get("route"), "path", "unmatched")
        status = int(_CLIENT_GONE if exchange.gone else exchange.status or HTTPStatus.INTERNAL_SERVER_ERROR)
        exchange.services.metrics.request(route, exchange.scope["method"], status, ms / 1e3)
        fields = {
            "request_id": exchange.request_id,
            "method": exchange.scope["method"],
            "route": route,
            "posting_id": exchange.scope.get("path_params", {}).get("posting_id"),
            "status": status,
            "ms": round(ms, 1),
            "stages_ms": {stage: round(spent * 1e3, 1) for stage, spent in exchange.spent.items()},
            "model": exchange.services.bundle.fingerprint,
        }
        logger.info("request", extra=fields)


class _Exchange:
    """The state of one request: what arrived of it, and what went out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, spent: dict[str, float]) -> None:
        self.scope, self.spent = scope, spent
        self.path: str = scope["path"]
        self.services: Services = scope["state"]["services"]
        self.status: int | None = None
        self.gone = self._is_answered = False
        self.deadline: asyncio.Timeout | None = None
        self._receive, self._send = receive, send
        self.headers = Headers(scope=scope)
        asked = self.headers.get("x-request-id", "")
        self.request_id = scope["state"]["request_id"] = asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex
        self.has_body = self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers
        self._body_awaited = self.has_body
        self.watcher: asyncio.Task[None] | None = None

    def timeout_s(self) -> float | None:
        """The caller's own deadline. Raises MalformedHeader."""
        value = self.headers.get("x-request-timeout-ms")
        if value is None:
            return None
        if not _TIMEOUT_MS.fullmatch(value) or int(value) > MAX_TIMEOUT_MS:
            raise MalformedHeader(f"expected an X-Request-Timeout-Ms of 1 to {MAX_TIMEOUT_MS}, got something else")
        return int(value) / 1e3

    async def receive(self) -> Message:
        """The next piece of the body; once it is whole, the client is watched."""
        message = await self._receive()
        if self._body_awaited and message["type"] == "http.request" and not message.get("more_body", False):
            self._body_awaited = False
            self.services.metrics.stage(READ, elapsed_ms() / 1e3)
            self.watcher = asyncio.create_task(self._watch())
        return message

    async def send(self, message: Message) -> None:
        """Add our headers; after an answer to a body that is still coming, take some of that before closing."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", []), *self._own_headers()]}
        elif not message.get("more_body", False):
            self._is_answered = True
            if self._body_awaited:
                await self._send({**message, "more_body": True})
                await self._discard()
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _watch(self) -> None:
        # What a client has given up is not worth encoding: it leaves the queues.
        message = await self._receive()
        if message["type"] == "http.disconnect" and self.deadline is not None and not self._is_answered:
            self.gone = True
            with suppress(RuntimeError):  # it has just passed by itself
                self.deadline.reschedule(asyncio.get_running_loop().time())

    async def _discard(self) -> None:
        # Closing at once would reset the connection of a client that still sends, before it reads the answer.
        left = DISCARD_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self._body_awaited and left > 0:
                    message = await self._receive()
                    self._body_awaited = message.get("more_body", False)
                    left -= len(message.get("body", b""))

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        own = {
            "x-request-id": self.request_id,
            "server-timing": server_timing(self.spent),
            "model-version": self.services.bundle.fingerprint,
            "x-content-type-options": "nosniff",
        }
        if self._body_awaited:
            own["connection"] = "close"
        return [(name.encode(), value.encode()) for name, value in own.items() if value]
