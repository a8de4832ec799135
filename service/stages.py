"""The stages of a request: how a job gets through one, and how long that took."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from service.batcher import Lane, Priority

Item = TypeVar("Item")
Result = TypeVar("Result")
_spent: ContextVar[dict[str, float]] = ContextVar("spent")
QUEUE = "queue"  # the waiting for a worker, summed over all lanes; the other stages are the lanes


class Stages:
    """Times each stage, for the Server-Timing header of its request and for the histogram of all."""

    def __init__(self, observe: Callable[[str, float], None]) -> None:
        self._observe = observe

    def begin(self) -> dict[str, float]:
        """Start a request in this context; the returned dict fills with seconds by stage."""
        spent: dict[str, float] = {}
        _spent.set(spent)
        return spent

    async def through(self, lane: Lane[Item, Result], item: Item, priority: Priority, cost: float = 1.0) -> Result:
        """Wait for an item to pass a lane, without blocking the event loop; who gives up leaves the queue."""
        done = await asyncio.wrap_future(lane.submit(item, cost, priority))
        spent = _spent.get({})
        for stage, seconds in ((QUEUE, done.waited_s), (lane.name, done.ran_s)):
            self._observe(stage, seconds)
            spent[stage] = spent.get(stage, 0.0) + seconds
        return done.result


def server_timing(spent: dict[str, float]) -> str:
    """
    The header's value, in milliseconds.

    >>> server_timing({"decode": 0.0021, "search": 0.005})
    'decode;dur=2.1, search;dur=5.0'
    """
    return ", ".join(f"{stage};dur={seconds * 1e3:.1f}" for stage, seconds in spent.items())
