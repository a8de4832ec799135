"""
Pictures of a feed: files, and what is fetched from URLs.

A feed comes from strangers. So a fetch is bounded in bytes, time and redirects, and connects only to the addresses that
its host name was checked for: no name can lead into the network that the command runs in.
"""

import hashlib
import ipaddress
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from weakref import WeakValueDictionary

import anyio
import httpcore
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from service.bundle.picture_checks import MAX_IMAGE_BYTES
from service.commands.output import writable

TIME_LIMIT_S = 30.0
MAX_REDIRECTS = 3
AT_ONCE = 8
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # counts as public, whatever it leads to
_HEADERS = {b"accept": b"image/*", b"accept-encoding": b"identity", b"user-agent": b"kembar-import"}
_PATIENCE = {"timeout": {"connect": 5.0}}  # of several addresses of a host the first may lead nowhere
Permitted = Callable[[str], bool]


class BadPicture(Exception):
    """A picture that cannot be sent, and why."""


def read_picture(path: Path) -> bytes:
    """The bytes of a picture file. Raises BadPicture."""
    try:
        size = path.stat().st_size
        if size <= MAX_IMAGE_BYTES:
            return path.read_bytes()
    except OSError as exc:
        raise BadPicture(f"picture file cannot be read: {exc.strerror}") from exc
    raise BadPicture(f"picture file has {size} bytes, the most is {MAX_IMAGE_BYTES}")


def is_public(address: str) -> bool:
    """
    Whether an address is of the open internet: not this machine, not a private network, not a cloud's metadata.

    >>> is_public("93.184.215.14"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, ip))[1]
    return ip.is_global and not ip.is_multicast and not (ip.version == 6 and ip in _NAT64)


@contextmanager
def picture_fetcher(cache: Path, permitted: Permitted) -> Iterator["PictureFetcher"]:
    """A fetcher that keeps what it fetched in the folder `cache`, and connects to permitted addresses only."""
    backend = _CheckedBackend(permitted)
    pool = httpcore.AsyncConnectionPool(
        httpx.create_ssl_context(), max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, network_backend=backend
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(pool):
        yield PictureFetcher(portal, pool, cache)


class PictureFetcher:
    """Fetches in the background. A picture that the server says is unchanged comes from the folder of earlier runs."""

    def __init__(self, portal: BlockingPortal, pool: httpcore.AsyncConnectionPool, cache: Path) -> None:
        self._portal, self._pool, self._cache = portal, pool, cache
        self._under_way: WeakValueDictionary[str, Future[bytes]] = WeakValueDictionary()
        self._fresh: set[str] = set()

    def start(self, url: str) -> "Future[bytes]":
        """Begin to fetch, unless it is under way; the result is the picture, or BadPicture."""
        future = self._under_way.get(url)
        if future is None:
            self._under_way[url] = future = self._portal.start_task_soon(self._fetch, url)
        return future

    async def _fetch(self, url: str) -> bytes:
        file = self._cache / hashlib.sha256(url.encode()).hexdigest()
        kept = _load(file)
        if kept is None or url not in self._fresh:
            try:
                with anyio.fail_after(TIME_LIMIT_S):
                    fetched = await self._ask(url, kept)
            except TimeoutError as exc:
                raise BadPicture(f"the picture was not there within {TIME_LIMIT_S:g} s") from exc
            except (httpx.InvalidURL, httpcore.UnsupportedProtocol, UnicodeError) as exc:
                raise BadPicture(f"the picture's URL is none: {exc}") from exc
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as exc:
                raise BadPicture(f"the picture cannot be fetched: {exc or type(exc).__name__}") from exc
            if fetched is not kept:
                _store(file, fetched)
            self._fresh.add(url)
            kept = fetched
        return kept.content

    async def _ask(self, url: str, kept: "_Kept | None") -> "_Kept":
        target = httpx.URL(url)
        asked = _HEADERS if kept is None else _HEADERS | kept.conditions()
        for _ in range(MAX_REDIRECTS + 1):
            if target.scheme not in ("http", "https"):
                raise BadPicture("the picture's URL redirects to something else than http")
            url = str(target)  # as httpx writes it: in ASCII, names of hosts too
            async with self._pool.stream("GET", url, headers=list(asked.items()), extensions=_PATIENCE) as response:
                headers = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
                if response.status == HTTPStatus.NOT_MODIFIED and kept is not None:
                    return kept
                if response.status not in _REDIRECTS or "location" not in headers:
                    return _Kept(headers.get("etag"), headers.get("last-modified"), await _content(response, headers))
            target = target.join(headers["location"])
        raise BadPicture(f"the picture's URL redirects more than {MAX_REDIRECTS} times")


class _CheckedBackend(httpcore.AnyIOBackend):
    """Looks a host name up once, and connects to what was checked."""

    def __init__(self, permitted: Permitted) -> None:
        self._permitted = permitted

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """As the base class, by an address that is permitted. Raises BadPicture where there is none."""
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [where[0] for *_, where in found if self._permitted(where[0])]
        if not addresses:
            raise BadPicture(
                f"{host} is not on the public internet; --allow-private-hosts fetches from it all the same"
            )
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
        return await super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)


async def _content(response: httpcore.Response, headers: Mapping[str, str]) -> bytes:
    if response.status != HTTPStatus.OK:
        raise BadPicture(f"the picture's server answered {response.status}")
    kind = headers.get("content-type", "").partition(";")[0]
    if kind == "text/html" or "content-encoding" in headers:
        raise BadPicture(f"the picture's URL gives {headers.get('content-encoding', kind)}, not a picture")
    content = bytearray()
    async for chunk in response.aiter_stream():
        content += chunk
        if len(content) > MAX_IMAGE_BYTES:
            raise BadPicture(f"the picture at the URL has more than {MAX_IMAGE_BYTES} bytes, which is the most")
    return bytes(content)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a server gave for a URL, and by what it knows later whether that has changed."""

    etag: str | None
    last_modified: str | None
    content: bytes

    def conditions(self) -> dict[bytes, bytes]:
        """The headers that ask for the picture only if it has changed."""
        asked = {b"if-none-match": self.etag, b"if-modified-since": self.last_modified}
        return {name: value.encode("latin-1") for name, value in asked.items() if value}


def _load(file: Path) -> _Kept | None:
    """One line of JSON, then the picture; what is not as it was written counts as not there."""
    try:
        head, _, content = file.read_bytes().partition(b"\n")
        sha256, etag, last_modified = json.loads(head)
    except (OSError, ValueError, TypeError):
        return None
    return _Kept(etag, last_modified, content) if hashlib.sha256(content).hexdigest() == sha256 else None


def _store(file: Path, kept: _Kept) -> None:
    head = json.dumps([hashlib.sha256(kept.content).hexdigest(), kept.etag, kept.last_modified])
    with writable(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_bytes(head.encode() + b"\n" + kept.content)
        new.replace(file)
