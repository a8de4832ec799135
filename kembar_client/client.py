"""The blocking client: carries the calls of `requests` over httpx, and waits where a retry is due."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Self, TypeVar

import httpx

from kembar_client import requests
from kembar_client.answers import BulkAnswer, Posting, PostingPage
from kembar_client.bulk import IN_FLIGHT, MAX_BYTES, MAX_LINES, Load, Operation
from kembar_client.errors import KembarError
from kembar_client.methods import Methods
from kembar_client.requests import Call, Where
from kembar_client.retry import RetryPolicy
from kembar_client.transport import address, answer_of, sending

T = TypeVar("T")


class Kembar(Methods):
    """
    A connection to one Kembar service; thread-safe, reuses its connections. `AsyncKembar` is the same for asyncio.

    `timeout_s` is how long the service may be silent, `bulk_timeout_s` the same for a bulk load, which is answered as
    fast as pictures are encoded. Every method may raise `KembarError`, whose tree `kembar_client.errors` shows.

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
        self._http = httpx.Client(base_url=address(base_url), timeout=timeout_s, transport=transport)
        self._bulk_timeout_s = bulk_timeout_s
        self._retry = retry or RetryPolicy()
        self._closed = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a call that waits for its next try fails at once."""
        self._closed.set()
        self._http.close()

    def scan(self, *, where: Where | None = None, with_vectors: bool = False) -> Iterator[Posting]:
        """All stored postings in order of id, fetched page by page; `where` names metadata that must be equal."""
        call: Call[PostingPage] | None = requests.first_page(where, with_vectors)
        while call is not None:
            page = self.send(call)
            yield from page.postings
            call = requests.page_after(call, page)

    def bulk(
        self, operations: Iterable[Operation], *, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES
    ) -> Iterator[BulkAnswer]:
        """
        Apply many operations and give one answer each, in order, reading `operations` only as far as needed.

        Two requests of at most `max_lines` lines and `max_bytes` bytes are under way at once, so that much more than
        the caller has answers for may have been applied when this raises; to repeat operations does no harm.
        """
        broken_off = Event()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="kembar-bulk") as pool:

            def start(call: Call[list[BulkAnswer]]) -> Future[list[BulkAnswer]]:
                return pool.submit(self._send, call, broken_off)

            load = Load(start, max_lines, max_bytes, self._bulk_timeout_s)
            try:
                for operation in operations:
                    for answers in load.add(operation):
                        yield from answers.result()
                for answers in load.finish():
                    yield from answers.result()
            finally:
                broken_off.set()

    def send(self, call: Call[T]) -> T:
        """Send a call of `requests`, again where the service asks for it, and give its answer."""
        return self._send(call, self._closed)

    def _send(self, call: Call[T], given_up: Event) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                with sending(self._http, call) as request:
                    return answer_of(call, self._http.send(request))
            except KembarError as fault:
                if given_up.wait(self._retry.wait_or_raise(call, attempt, fault)):
                    raise
