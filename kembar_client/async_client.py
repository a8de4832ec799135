"""The async client: the twin of `Kembar` for asyncio."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Self, TypeVar

import httpx

from kembar_client import requests
from kembar_client.answers import BulkAnswer, Posting, PostingPage
from kembar_client.bulk import MAX_BYTES, MAX_LINES, Load, Operation
from kembar_client.errors import KembarError
from kembar_client.methods import Methods
from kembar_client.requests import Call, Where
from kembar_client.retry import RetryPolicy
from kembar_client.transport import address, answer_of, sending

T = TypeVar("T")


class AsyncKembar(Methods):
    """
    A connection to one Kembar service for asyncio; reuses its connections, serves many tasks. The twin of `Kembar`.

    `timeout_s` is how long the service may be silent, `bulk_timeout_s` the same for a bulk load, which is answered as
    fast as pictures are encoded. Every method may raise `KembarError`, whose tree `kembar_client.errors` shows; a task
    that is cancelled gives up its request.

        async with AsyncKembar("http://127.0.0.1:8080") as kembar:
            answer = await kembar.match(title="Chaz Kangeroo Hoodie")
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        bulk_timeout_s: float = 300.0,
        retry: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=address(base_url), timeout=timeout_s, transport=transport)
        self._bulk_timeout_s = bulk_timeout_s
        self._retry = retry or RetryPolicy()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def scan(self, *, where: Where | None = None, with_vectors: bool = False) -> AsyncIterator[Posting]:
        """All stored postings in order of id, fetched page by page; `where` names metadata that must be equal."""
        call: Call[PostingPage] | None = requests.first_page(where, with_vectors)
        while call is not None:
            page = await self.send(call)
            for posting in page.postings:
                yield posting
            call = requests.page_after(call, page)

    async def bulk(
        self,
        operations: Iterable[Operation] | AsyncIterable[Operation],
        *,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
    ) -> AsyncIterator[BulkAnswer]:
        """
        Apply many operations and give one answer each, in order, reading `operations` only as far as needed.

        Two requests of at most `max_lines` lines and `max_bytes` bytes are under way at once, so that much more than
        the caller has answers for may have been applied when this raises; to repeat operations does no harm.
        """

        def start(call: Call[list[BulkAnswer]]) -> asyncio.Task[list[BulkAnswer]]:
            return asyncio.create_task(self.send(call))

        load = Load(start, max_lines, max_bytes, self._bulk_timeout_s)
        try:
            async for operation in _each(operations):
                for answers in load.add(operation):
                    for answer in await answers:
                        yield answer
            for answers in load.finish():
                for answer in await answers:
                    yield answer
        finally:
            left = load.under_way()
            for answers in left:
                answers.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def send(self, call: Call[T]) -> T:
        """Send a call of `requests`, again where the service asks for it, and give its answer."""
        attempt = 0
        while True:
            attempt += 1
            try:
                with sending(self._http, call) as request:
                    return answer_of(call, await self._http.send(request))
            except KembarError as fault:
                wait_s = self._retry.wait_or_raise(call, attempt, fault)
            await asyncio.sleep(wait_s)


async def _each(operations: Iterable[Operation] | AsyncIterable[Operation]) -> AsyncIterator[Operation]:
    if isinstance(operations, AsyncIterable):
        async for operation in operations:
            yield operation
    else:
        for operation in operations:
            yield operation
