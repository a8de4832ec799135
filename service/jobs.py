"""What waits for a worker: an item of work, how urgent it is, and who waits for its result."""

import itertools
import time
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_entered: ContextVar[float] = ContextVar("entered")
_sequence = itertools.count()


class Priority(Enum):
    """
    The head start, in seconds, that others have over it: a query overtakes bulk loads, but not for ever.

    Bulk loads have at most 32 lines in work: under a flood of queries eight of them a second are due before new ones.
    """

    QUERY = 0.0
    ADDITION = 1.0
    BULK = 4.0


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """A result, how long its job waited for a worker, and how long its batch ran."""

    result: Result
    waited_s: float
    ran_s: float


@dataclass(order=True, slots=True)
class Job(Generic[Item, Result]):
    """One item in a queue; jobs are in order of urgency. `cost` is in units of its lane."""

    due: float
    sequence: int
    item: Item = field(compare=False)
    cost: float = field(compare=False)
    priority: Priority = field(compare=False)
    submitted: float = field(compare=False)
    future: "Future[Done[Result]]" = field(compare=False)


def new_job(item: Item, cost: float, priority: Priority) -> "Job[Item, Result]":
    """A job that begins to wait now."""
    now = time.monotonic()
    return Job(_entered.get(now) + priority.value, next(_sequence), item, cost, priority, now, Future())


def enter() -> None:
    """Of what this task queues from here on, all is as urgent as what it queues first: begun work is finished."""
    _entered.set(time.monotonic())
