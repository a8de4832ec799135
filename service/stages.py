"""The stages of a request: how a job gets through one, and how long that took."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from service.batcher import Lane, Priority, Run

Item = TypeVar("Item")
Result = TypeVar("Result")
_spent: ContextVar[dict[str, float]] = ContextVar("spent")
QUEUE = "queue"  # the waiting for a worker, summed over all lanes; the other stages are the lanes


class Stages:
    """Makes the lanes and times the way through them, for the Server-Timing header and for the metrics."""

    def __init__(self, observe: Callable[[str, float], None], observe_batch: Callable[[str, int], None]) -> None:
        self._observe, self._observe_batch = observe, observe_batch

    def lane(
        self, name: str, run: Run[Item, Result], workers: int, max_batch: int, ms_per_unit: float
    ) -> Lane[Item, Result]:
        """A lane whose batches are counted."""
        return Lane(
            name, run, workers=workers, max_batch=max_batch, ms_per_unit=ms_per_unit, observe_batch=self._observe_batch
        )

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
