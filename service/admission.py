"""Who is let in: bounded by waiting work and by the memory of bodies in flight, refused while stopping."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.batcher import Workers
from service.errors import Draining, Overloaded
from service.jobs import Priority

MAX_RESERVED_BYTES = 16 * 1024 * 1024  # no body in memory is longer: a form, a JSON body, a bulk line
MAX_BULK_LINES = 32
# A burst may fill the queue. Once it has been full, calls are let in only where they wait little longer than they
# work, until none was refused for a while: of what arrives beyond capacity some is answered fast, not all of it late.
SHORT_QUEUE_CALLS = 1.0
CALM_S = 1.0
MAX_BULK_BYTES = 32 * 1024 * 1024


class Admission:
    """The door of the service. Used from the event loop alone."""

    def __init__(self, upload_budget_bytes: int, max_queued_ms: int) -> None:
        self._budget = self._free = upload_budget_bytes
        self.max_queued_ms = max_queued_ms
        self.workers: Workers | None = None
        self._refusing_until = 0.0
        self.draining = False
        self.storage_failed = False

    def fail(self) -> None:
        """The disk failed under a write: nothing may be acknowledged any more, and the process has to end."""
        self.storage_failed = True
        self.drain()

    def drain(self) -> None:
        """Let nobody in any more; may be called from a signal handler."""
        self.draining = True

    def backlog_ms(self, priority: Priority) -> float:
        """How long a call of this priority would wait now; what it overtakes does not count."""
        return 0.0 if self.workers is None else self.workers.backlog_ms(priority)

    def require_room(self, priority: Priority) -> None:
        """Raises Overloaded where more is waiting than is done soon."""
        backlog, now, most = self.backlog_ms(priority), time.monotonic(), float(self.max_queued_ms)
        if self.workers is not None and now < self._refusing_until:
            most = min(most, SHORT_QUEUE_CALLS * self.workers.one_of_each_ms())
        if backlog > most:
            self._refusing_until = now + CALM_S
            raise Overloaded(
                f"expected at most {most:.0f} ms of waiting work, got {backlog:.0f}; send it again later",
                retry_after_s=1 + round(backlog / 1e3),
            )

    @contextmanager
    def let_in(self, body_bytes: int | None) -> Iterator[None]:
        """Hold a place for a request and its body of this length, if it is known. Raises Draining, Overloaded."""
        if self.draining:
            raise Draining("the service is stopping; send the request again in a moment", retry_after_s=5)
        reserved = MAX_RESERVED_BYTES if body_bytes is None else min(body_bytes, MAX_RESERVED_BYTES)
        if reserved > self._free:
            raise Overloaded(f"expected at most {self._budget} bytes of bodies at once, got more; send it again later")
        self._free -= reserved
        try:
            yield
        finally:
            self._free += reserved


class BulkGate:
    """What all bulk requests together may have in work: lines and bytes. Past it their reading pauses."""

    def __init__(self) -> None:
        self._lines, self._bytes = 0, 0
        self._left = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait for a place for a line of this many bytes; one of any size gets it when it is alone."""
        while self._lines and (self._lines >= MAX_BULK_LINES or self._bytes + size > MAX_BULK_BYTES):
            self._left.clear()
            await self._left.wait()
        self._lines, self._bytes = self._lines + 1, self._bytes + size

    def leave(self, size: int) -> None:
        """Give the place back."""
        self._lines, self._bytes = self._lines - 1, self._bytes - size
        self._left.set()
