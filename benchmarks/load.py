"""A load generator for HTTP in a process of its own: requests built beforehand, closed loop or constant arrivals."""

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import uvloop
from numpy.typing import NDArray

NUMBER = b"#@#@#@#@"  # in a message: replaced by eight digits, others at each sending
LOST = 0  # the status of a call whose connection ended before its answer was whole
GIVEN_UP_S = 30.0
Work: TypeAlias = "Callable[[float, float], Coroutine[Any, Any, Load]]"


@dataclass(frozen=True, slots=True)
class Load:
    """
    What became of the calls, in order of their beginnings.

    `begun_s` (n,) counts from the start of the load and is, for constant arrivals, when the call was due, not when the
    generator came to it; `ms` (n,) is from there to the end of the answer, `statuses` (n,) are HTTP's, or LOST.
    `generator_share` is the part of all processors' time that the generator itself took.
    """

    begun_s: NDArray[np.float64]
    ms: NDArray[np.float64]
    statuses: NDArray[np.int64]
    seconds: float
    generator_share: float

    def good_ms(self) -> NDArray[np.float64]:
        """The times of the calls that were answered by 2xx."""
        return self.ms[self.statuses // 100 == 2]

    def per_second(self) -> float:
        """Answers by 2xx a second."""
        return len(self.good_ms()) / self.seconds


def closed_loop(port: int, messages: Sequence[bytes], clients: int, seconds: float) -> Load:
    """So many clients, each of which sends its next call when it has its answer, or when `Retry-After` lets it."""
    return _elsewhere(_Generator(port, messages).closed, clients, seconds)


def constant_arrivals(port: int, messages: Sequence[bytes], per_second: float, seconds: float) -> Load:
    """Calls at even distances, whatever becomes of those before."""
    return _elsewhere(_Generator(port, messages).open, per_second, seconds)


def _elsewhere(work: Work, amount: float, seconds: float) -> Load:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, work, amount, seconds).result()


def _run(work: Work, amount: float, seconds: float) -> Load:
    return uvloop.run(work(amount, seconds))


class _Generator:
    def __init__(self, port: int, messages: Sequence[bytes]) -> None:
        self._port, self._messages = port, messages

    async def closed(self, clients: int, seconds: float) -> Load:
        self._begin()
        end = time.perf_counter() + seconds

        async def client() -> None:
            while (now := time.perf_counter()) < end:
                await asyncio.sleep(await self._call(now))

        await asyncio.gather(*(client() for _ in range(int(clients))))
        return self._load()

    async def open(self, per_second: float, seconds: float) -> Load:
        self._begin()
        start, calls = time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(int(per_second * seconds)):
            due = start + number / per_second
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            calls.add(task := asyncio.create_task(self._call(due)))
            task.add_done_callback(calls.discard)
        await asyncio.gather(*calls)
        return self._load()

    def _begin(self) -> None:
        self._numbers, self._cycle = itertools.count(time.time_ns() // 10**7 % 10**8), itertools.cycle(self._messages)
        self._idle: list[_Connection] = []
        self._done: list[tuple[float, float, int]] = []
        self._start, self._cpu = time.perf_counter(), time.process_time()

    def _load(self) -> Load:
        seconds, cpu = time.perf_counter() - self._start, time.process_time() - self._cpu
        begun, ms, statuses = zip(*sorted(self._done), strict=True)
        share = cpu / seconds / (os.cpu_count() or 1)
        return Load(np.array(begun), np.array(ms), np.array(statuses), seconds, share)

    async def _call(self, due: float) -> float:
        """Make one call; how many seconds the answer tells to wait before the next one."""
        message = next(self._cycle).replace(NUMBER, b"%08d" % (next(self._numbers) % 10**8))
        status, wait_s = LOST, 0.0
        with suppress(OSError, TimeoutError):
            if not self._idle:
                loop = asyncio.get_running_loop()
                self._idle.append((await loop.create_connection(_Connection, "127.0.0.1", self._port))[1])
            connection = self._idle.pop()
            async with asyncio.timeout(GIVEN_UP_S):
                status, wait_s = await connection.ask(message)
            if not connection.ended:
                self._idle.append(connection)
        self._done.append((due - self._start, (time.perf_counter() - due) * 1e3, status))
        return wait_s


class _Connection(asyncio.Protocol):
    """One connection, one call at a time. The answer may come before the request is out."""

    def __init__(self) -> None:
        self.ended = False
        self._answer: asyncio.Future[tuple[int, float]] | None = None
        self._received = bytearray()

    async def ask(self, message: bytes) -> tuple[int, float]:
        """The status of the answer, once it is whole, and the seconds of its `Retry-After`."""
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or self._answer is None or self._answer.done():
            return
        lines = head.lower()
        length, retry_after = (
            lines.partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]
            for name in (b"content-length", b"retry-after")
        )
        is_whole = len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n")
        if is_whole:
            if b"\r\nconnection: close" in lines:
                self.ended = True
                self._transport.close()
            self._answer.set_result((int(head[9:12]), float(retry_after or 0)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((LOST, 0.0))
