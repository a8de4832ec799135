"""A web server with pictures and with all that goes wrong on the way to one, and what it was asked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

MONDAY = "Mon, 02 Nov 2026 10:00:00 GMT"


@dataclass
class PictureServer:
    """Pictures by path, each with the header that tells its state; which hosts were asked for, which pictures sent."""

    url: str = ""
    pictures: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    server_of: ClassVar[PictureServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (named by http.server)
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer by path."""
        server = self.server_of
        with server.lock:
            server.hosts.append(self.headers["host"])
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        with suppress(OSError):  # a client that has seen enough hangs up
            self._answer(self.path)
        with server.lock:
            server.at_once -= 1

    def _answer(self, path: str) -> None:
        server = self.server_of
        if path in server.pictures:
            state, content = server.pictures[path]
            unchanged = {"ETag": "if-none-match", "Last-Modified": "if-modified-since"}
            if any(self.headers.get(unchanged[name]) == value for name, value in state.items()):
                self._send(304, {})
            else:
                server.sent.append(path)
                time.sleep(0.02)
                self._send(200, {"content-type": "image/jpeg", **state}, content)
        elif path.startswith("/hops/"):
            left = int(path.rpartition("/")[2]) - 1
            self._send(302, {"location": f"../hops/{left}" if left else "/a.jpg"}, b"moved")
        elif path == "/slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
            self._drip(b"x")
        elif path == "/slow-body":
            self._send(200, {"content-type": "image/jpeg", "content-length": "5000"})
            self._drip(b"x")
        elif path == "/huge":
            self._send(200, {"content-type": "image/jpeg", "content-length": str(10**9)})
            while True:
                self.wfile.write(bytes(1 << 20))
        elif path == "/cut":
            self._send(200, {"content-length": "5000"}, b"half")
            self.close_connection = True
        else:
            self._send(
                *{
                    "/loop": (301, {"location": "/loop"}),
                    "/ftp": (302, {"location": "ftp://pictures.example/a.jpg"}),
                    "/other": (302, {"location": server.url.replace("127.0.0.1", "127.0.0.2") + "/a.jpg"}),
                    "/page": (200, {"content-type": "text/html; charset=utf-8"}, b"<html>log in</html>"),
                    "/gzip": (200, {"content-type": "image/jpeg", "content-encoding": "gzip"}, b"\x1f\x8b"),
                }.get(path, (404, {}))
            )

    def _send(self, status: int, headers: dict[str, str], content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _drip(self, byte: bytes) -> None:
        while True:
            self.wfile.write(byte)
            time.sleep(0.05)


class _Server(ThreadingHTTPServer):
    """A server that keeps quiet of callers who hang up, as the tests make them do."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


@contextmanager
def picture_server() -> Iterator[PictureServer]:
    """Serve on a port of loopback."""
    pictures = PictureServer()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of": pictures}))
    server.daemon_threads = True
    pictures.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield pictures
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
