"""A hand-written service on a real socket: a dict behind the interface, and a script of what goes wrong."""

import json
import socket
from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, BrokenBarrierError, Lock, Thread
from typing import ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import JsonValue

Fields = dict[str, JsonValue]
NOON = "2026-01-02T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer to give instead of the right one; status 0 closes the connection without any."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class FakeService:
    """What the service holds, what it saw and what it shall answer next."""

    postings: dict[str, Fields] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    script: deque[Scripted] = field(default_factory=deque)
    line_problems: dict[str, deque[int]] = field(default_factory=dict)
    answers_to_lose: int = 0
    busy_for: bytes | None = None
    together: Barrier | None = None
    at_once: int = 0
    most_at_once: int = 0
    lock: Lock = field(default_factory=Lock)

    def put(self, posting_id: str, title: str | None, image: bytes | None, metadata: JsonValue) -> Fields:
        """Store one posting as the service would."""
        before = self.postings.get(posting_id)
        views: list[JsonValue] = [name for name, value in (("image", image), ("title", title)) if value is not None]
        posting: Fields = {
            "posting_id": posting_id,
            "title": title,
            "metadata": metadata,
            "views": views,
            "image_sha256": None if image is None else sha256(image).hexdigest(),
            "created_at": NOON,
            "updated_at": NOON,
            "vectors": None,
        }
        changed = before is None or {**before, "revision": None} != {**posting, "revision": None}
        self.postings[posting_id] = {
            **posting,
            "revision": len(self.seen) if changed or not before else before["revision"],
        }
        return {
            "posting_id": posting_id,
            "revision": self.postings[posting_id]["revision"],
            "created": before is None,
            "changed": changed,
            "views": views,
            "matches": None,
        }

    def apply(self, number: int, line: bytes) -> Fields:
        """One line of a bulk load."""
        wanted = json.loads(line)
        posting_id = wanted["posting_id"]
        if self.line_problems.get(posting_id):
            status = self.line_problems[posting_id].popleft()
            problem: JsonValue = {
                "type": "urn:kembar:problem:odd",
                "title": "Odd",
                "status": status,
                "detail": "As told.",
            }
            return {"line": number, "posting_id": posting_id, "status": status, "problem": problem}
        status = 204
        match wanted["op"]:
            case "put":
                image = b64decode(wanted["image_base64"]) if "image_base64" in wanted else None
                status = 201 if self.put(posting_id, wanted.get("title"), image, wanted["metadata"])["created"] else 200
            case "patch":
                status = 200
                self.postings[posting_id] |= {name: wanted[name] for name in ("title", "metadata") if name in wanted}
            case "delete":
                self.postings.pop(posting_id, None)
        return {"line": number, "posting_id": posting_id, "status": status, "problem": None}


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[FakeService]
    connections: ClassVar[list[socket.socket]]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Remember the connection, to close it at the end."""
        super().setup()
        self.connections.append(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (named by http.server)
        """Keep quiet."""

    def _handle(self) -> None:
        service = self.service
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, url.path, dict(parse_qsl(url.query)), headers, body, self.client_address)
        with service.lock:
            service.seen.append(seen)
            service.at_once += 1
            service.most_at_once = max(service.most_at_once, service.at_once)
        self._meet(service.together)
        with service.lock:
            service.at_once -= 1
            scripted = service.script.popleft() if service.script else self._answer(seen)
            if seen.path == "/v1/bulk" and service.answers_to_lose > 0:
                service.answers_to_lose -= 1
                scripted = Scripted(0)
        if scripted.status == 0:
            self.close_connection = True
            return
        self.send_response(scripted.status)
        for name, value in {"content-length": str(len(scripted.body)), **scripted.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(scripted.body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 (named by http.server)

    def _meet(self, together: Barrier | None) -> None:
        if together is not None:
            try:
                together.wait()
            except BrokenBarrierError:
                return

    def _answer(self, seen: Seen) -> Scripted:
        service = self.service
        if service.busy_for is not None and service.busy_for in seen.body:
            return problem(503, "overloaded", "Later.", retry_after="20")
        if seen.path == "/v1/bulk":
            lines = [service.apply(number, line) for number, line in enumerate(seen.body.splitlines(), 1)]
            return Scripted(200, body="".join(json.dumps(line) + "\n" for line in lines).encode())
        if seen.path == "/v1/postings":
            return self._page(seen)
        if seen.path == "/readyz":
            return answer(200, {"ready": True, "status": "ready", "checks": {}})
        posting_id = unquote(seen.path.removeprefix("/v1/postings/"))
        if seen.method == "PUT":
            parts = parts_of(seen)
            title = parts["title"].decode() if "title" in parts else None
            return answer(200, service.put(posting_id, title, parts.get("image"), json.loads(parts["metadata"])))
        if seen.method == "DELETE":
            service.postings.pop(posting_id, None)
            return Scripted(204)
        if posting_id not in service.postings:
            return problem(404, "unknown-posting", "No posting has this id.")
        return answer(200, service.postings[posting_id])

    def _page(self, seen: Seen) -> Scripted:
        ids = sorted(self.service.postings, key=str.encode)
        start = int(seen.query.get("cursor", 0))
        end = start + int(seen.query["limit"])
        page: list[JsonValue] = [self.service.postings[posting_id] for posting_id in ids[start:end]]
        return answer(200, {"postings": page, "next_cursor": str(end) if end < len(ids) else None})


def answer(status: int, body: Fields) -> Scripted:
    """A JSON answer."""
    return Scripted(status, {"content-type": "application/json"}, json.dumps(body).encode())


def problem(status: int, slug: str, detail: str, **headers: str) -> Scripted:
    """A problem document."""
    body: Fields = {"type": f"urn:kembar:problem:{slug}", "title": slug, "status": status, "detail": detail}
    sent = {"content-type": "application/problem+json", **{name.replace("_", "-"): headers[name] for name in headers}}
    return Scripted(status, sent, json.dumps({**body, "request_id": "r1"}).encode())


def parts_of(seen: Seen) -> dict[str, bytes]:
    """The fields of a multipart request."""
    message = message_from_bytes(b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body)
    parts = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts


class _Server(ThreadingHTTPServer):
    """A server that keeps quiet of callers who hang up, as the tests make them do."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextmanager
def serving(service: FakeService, port: int = 0) -> Iterator[str]:
    """Serve on a port of loopback and give the address."""
    connections: list[socket.socket] = []
    handler = type("Handler", (_Handler,), {"service": service, "connections": connections})
    server = _Server(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        for connection in connections:  # as a process that dies would
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
