"""The blocking client: carries the calls of `requests` over httpx, and waits where a retry is due."""

import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import JsonValue

from kembar_client import bulk, requests
from kembar_client.answers import BulkAnswer, MatchAnswer, ModelCard, Posting, Readiness, Written
from kembar_client.errors import BadAddress, ConnectionLost, KembarError, TimedOut, Unreachable
from kembar_client.requests import Answer, Call, Goal, Scalar
from kembar_client.retry import RetryPolicy

T = TypeVar("T")
_LISTING_PAGE = 1000


class Kembar:
    """
    A connection to one Kembar service; thread-safe, reuses its connections.

    `timeout_s` is how long the service may be silent, `bulk_timeout_s` the same for a bulk load, which is answered as
    fast as pictures are encoded. Every method may raise `KembarError`.

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

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def match(
        self,
        *,
        image: bytes | None = None,
        title: str | None = None,
        limit: int = 50,
        goal: Goal | None = None,
        threshold: float | None = None,
        where: Mapping[str, Scalar] | None = None,
        exclude: Sequence[str] = (),
    ) -> MatchAnswer:
        """Find stored postings that show the same product; `threshold` replaces the learned one of `goal`."""
        return self._run(requests.match(image, title, limit, goal, threshold, where, exclude))

    def matches_of(
        self,
        posting_id: str,
        *,
        limit: int = 50,
        goal: Goal | None = None,
        threshold: float | None = None,
        where: Mapping[str, Scalar] | None = None,
    ) -> MatchAnswer:
        """Find what matches a stored posting, itself left out."""
        return self._run(requests.matches_of(posting_id, limit, goal, threshold, where))

    def put(
        self,
        posting_id: str,
        *,
        image: bytes | None = None,
        title: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        if_revision: int | None = None,
    ) -> Written:
        """Store the whole posting, in place of what was there."""
        conditions = requests.if_revision(if_revision)
        return self._run(requests.put(posting_id, image, title, metadata or {}, {}, conditions))

    def put_and_match(
        self,
        posting_id: str,
        *,
        image: bytes | None = None,
        title: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Written:
        """Store the whole posting and say in `matches` which others show the same product."""
        return self._run(requests.put(posting_id, image, title, metadata or {}, {"matches": "true"}, {}))

    def patch(
        self,
        posting_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        if_revision: int | None = None,
    ) -> Written:
        """Change title or metadata (replaced as a whole); None leaves it as it is, and the picture stays."""
        return self._run(requests.patch(posting_id, title, metadata, requests.if_revision(if_revision)))

    def get(self, posting_id: str) -> Posting:
        """What is stored under an id; raises `NotFound`."""
        return self._run(requests.get(posting_id))

    def delete(self, posting_id: str, *, if_revision: int | None = None) -> None:
        """Remove a posting; one that is not there is no error."""
        self._run(requests.delete(posting_id, requests.if_revision(if_revision)))

    def scan(self, *, where: Mapping[str, Scalar] | None = None) -> Iterator[Posting]:
        """All stored postings in order of id, fetched page by page."""
        cursor = None
        while True:
            page = self._run(requests.listing(cursor, _LISTING_PAGE, where))
            yield from page.postings
            cursor = page.next_cursor
            if cursor is None:
                return

    def bulk(
        self,
        operations: Iterable[bulk.Operation],
        *,
        max_lines: int = bulk.MAX_LINES,
        max_bytes: int = bulk.MAX_BYTES,
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
                under_way.append((batch, pool.submit(self._run, bulk.call_of(batch), self._bulk_timeout_s)))
            while under_way:
                yield from under_way.popleft()[1].result()

    def model(self) -> ModelCard:
        """Encoders, thresholds and measured figures of the service."""
        return self._run(requests.model())

    def ready(self) -> Readiness:
        """Whether the service takes work; "not ready" is an answer, not an error."""
        return self._run(requests.ready())

    def _run(self, call: Call[T], timeout_s: float | None = None) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                return call.read(self._send(call, timeout_s))
            except KembarError as fault:
                wait_s = self._retry.wait_s(attempt, fault, random.random()) if call.idempotent else None
                if wait_s is None:
                    raise
            time.sleep(wait_s)

    def _send(self, call: Call[T], timeout_s: float | None) -> Answer:
        files = [(part.name, (part.filename, part.content)) for part in call.parts]
        try:
            response = self._http.request(
                call.method,
                call.path,
                params=dict(call.params),
                headers=dict(call.headers),
                files=files or None,
                content=call.content,
                timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise Unreachable(f"no connection to {self._http.base_url}: {exc}") from exc
        except httpx.TimeoutException as exc:
            raise TimedOut(f"no answer from {self._http.base_url} within the time limit") from exc
        except httpx.RequestError as exc:
            raise ConnectionLost(f"the connection to {self._http.base_url} broke: {exc}") from exc
        return Answer(response.status_code, response.headers, response.content)


def _address(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise BadAddress(f"{base_url!r} is no address: expected one like http://127.0.0.1:8080") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAddress(f"{base_url!r} is no address: expected one like http://127.0.0.1:8080")
    return url
