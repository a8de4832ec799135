"""Work that would block the event loop, done elsewhere."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OffLoop:
    """A pool of threads for calls into the index and for short work on bytes."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="off-loop")

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread and wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Wait for what runs, then end the threads."""
        self._pool.shutdown()
