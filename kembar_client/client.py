"""The blocking client: carries the calls of `requests` over httpx, and waits where a retry is due."""

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from typing import Generic, ParamSpec, Self, TypeVar

import httpx

from kembar_client import bulk, requests
from kembar_client.answers import BulkAnswer, Posting, PostingPage
from kembar_client.errors import BadAddress, ConnectionLost, KembarError, TimedOut, Unreachable
from kembar_client.requests import Call, Where
from kembar_client.retry import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")
# A vector takes some 20 KB of JSON.
_PAGE, _PAGE_WITH_VECTORS = 1000, 100


class Method(Generic[P, T]):
    """A function of `requests` as a method of the client, which gives the answer in place of the call."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build

    def __get__(self, client: "Kembar", _owner: type) -> Callable[P, T]:
        @wraps(self._build)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return client.send(self._build(*args, **kwargs))

        return method


class Kembar:
    """
    A connection to one Kembar service; thread-safe, reuses its connections.

    `timeout_s` is how long the service may be silent, `bulk_timeout_s` the same for a bulk load, which is answered as
    fast as pictures are encoded. Every method may raise `KembarError`; one shown to return a `Call[T]` gives a T.

        with Kembar("http://127.0.0.1:8080") as kembar:
            answer = kembar.match(title="Chaz Kangeroo Hoodie")
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        bulk_timeout_s: float = 300.0,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=_address(base_url), timeout=timeout_s, transport=transport)
        self._bulk_timeout_s = bulk_timeout_s
        self._retry = retry or RetryPolicy()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    match = Method(requests.match)
    matches_of = Method(requests.matches_of)
    put = Method(requests.put)
    put_and_match = Method(requests.put_and_match)
    patch = Method(requests.patch)
    get = Method(requests.get)
    delete = Method(requests.delete)
    picture = Method(requests.picture)
    listing = Method(requests.listing)
    compare = Method(requests.compare)
    embeddings = Method(requests.embeddings)
    model = Method(requests.model)
    limits = Method(requests.limits)
    ready = Method(requests.ready)

    def scan(self, *, where: Where | None = None, with_vectors: bool = False) -> Iterator[Posting]:
        """All stored postings in order of id, fetched page by page."""
        limit = _PAGE_WITH_VECTORS if with_vectors else _PAGE
        call: Call[PostingPage] | None = requests.listing(limit=limit, where=where, with_vectors=with_vectors)
        while call is not None:
            page = self.send(call)
            yield from page.postings
            call = requests.page_after(call, page)

    def bulk(
        self, operations: Iterable[bulk.Operation], *, max_lines: int = bulk.MAX_LINES, max_bytes: int = bulk.MAX_BYTES
    ) -> Iterator[BulkAnswer]:
        """
        Apply many operations and give one answer each, in order, reading `operations` only as far as needed.

        Two requests of at most `max_lines` lines and `max_bytes` bytes are under way at once, so that much more than
        the caller has answers for may have been applied when this raises; to repeat operations does no harm.
        """
        with ThreadPoolExecutor(bulk.IN_FLIGHT, thread_name_prefix="kembar-bulk") as pool:
            under_way: deque[tuple[bulk.Batch, Future[list[BulkAnswer]]]] = deque()
            for batch in bulk.split(operations, max_lines, max_bytes):
                while bulk.must_wait(batch, [sent for sent, _ in under_way]):
                    yield from under_way.popleft()[1].result()
                under_way.append((batch, pool.submit(self.send, bulk.call_of(batch), self._bulk_timeout_s)))
            while under_way:
                yield from under_way.popleft()[1].result()

    def send(self, call: Call[T], timeout_s: float | None = None) -> T:
        """Send a call, again where the service asks for it, and give its answer."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return call.read(self._response(call, timeout_s))
            except KembarError as fault:
                wait_s = self._retry.wait_s(attempt, fault, random.random()) if call.repeatable else None
                if wait_s is None:
                    raise
            time.sleep(wait_s)

    def _response(self, call: Call[T], timeout_s: float | None) -> httpx.Response:
        try:
            return self._http.request(
                call.method,
                call.path,
                params=call.params,
                headers=call.headers,
                files=call.form or None,
                content=call.content,
                timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Unreachable(f"no connection to {self._http.base_url}: {exc}") from exc
        except httpx.TimeoutException as exc:
            raise TimedOut(f"no answer from {self._http.base_url} within the time limit") from exc
        except httpx.RequestError as exc:
            raise ConnectionLost(f"the connection to {self._http.base_url} broke: {exc}") from exc


def _address(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAddress(f"{base_url!r} is no address: expected one like http://127.0.0.1:8080")
    return url
