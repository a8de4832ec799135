"""Work-conserving lanes: an idle worker starts at once, a busy one finds what has gathered meanwhile."""

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeAlias, TypeVar

from service.bundle.errors import PostingError
from service.errors import Draining, WorkerDied
from service.metrics import Metrics
from service.stages import QUEUE, spend

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Run: TypeAlias = Callable[[Sequence[Item]], Sequence[Result]]


class Priority(Enum):
    """The head start, in seconds, that others have over it: a query overtakes bulk loads, but not for ever."""

    QUERY = 0.0
    ADDITION = 0.1
    BULK = 1.0


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """A result, how long its job waited for a worker, and how long its batch ran."""

    result: Result
    waited_s: float
    ran_s: float


@dataclass(order=True, slots=True)
class _Job(Generic[Item, Result]):
    due: float
    sequence: int
    item: Item = field(compare=False)
    cost: float = field(compare=False)
    submitted: float = field(compare=False)
    future: "Future[Done[Result]]" = field(compare=False)


class Lane(Generic[Item, Result]):
    """
    Workers that take what waits, in batches of at most `max_batch`. Thread-safe.

    A batch that fails is run again item by item, so that one bad item fails alone. A worker that dies fails those
    whose jobs it held, is replaced, and leaves a `fault` until the next batch goes well.
    """

    def __init__(
        self, name: str, run: Run[Item, Result], metrics: Metrics, *, workers: int, max_batch: int, ms_per_unit: float
    ) -> None:
        """`run` gives a result per item, in order; `ms_per_unit` of cost is a first guess, measured from then on."""
        self.name, self._run, self._metrics = name, run, metrics
        self._workers, self._max_batch, self._ms_per_unit = workers, max_batch, ms_per_unit
        self._jobs: list[_Job[Item, Result]] = []
        self._sequence = itertools.count()
        self._changed = threading.Condition()
        self._pending_cost = 0.0
        self._closed = False
        self.fault: str | None = None  # what was wrong with the last batch
        self._threads: set[threading.Thread] = set()
        for _ in range(workers):
            self._start_worker()

    async def through(self, item: Item, priority: Priority, cost: float = 1.0) -> Result:
        """Wait for an item to pass, without blocking the event loop; who gives up leaves the queue."""
        done = await asyncio.wrap_future(self.submit(item, cost, priority))
        for stage, seconds in ((QUEUE, done.waited_s), (self.name, done.ran_s)):
            self._metrics.stage_seconds.labels(stage).observe(seconds)
            spend(stage, seconds)
        return done.result

    def submit(self, item: Item, cost: float, priority: Priority) -> "Future[Done[Result]]":
        """Queue an item; a future that is cancelled before a worker takes it leaves the queue. Raises Draining."""
        now = time.monotonic()
        future: Future[Done[Result]] = Future()
        job = _Job(now + priority.value, next(self._sequence), item, cost, now, future)
        with self._changed:
            if self._closed:
                raise Draining("the service is stopping; send the request again in a moment")
            heapq.heappush(self._jobs, job)
            self._pending_cost += cost
            self._changed.notify()
        return future

    @contextmanager
    def expecting(self, cost: float) -> Iterator[None]:
        """Count an item as waiting that another lane has yet to pass on."""
        with self._changed:
            self._pending_cost += cost
        try:
            yield
        finally:
            with self._changed:
                self._pending_cost -= cost

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return len(self._jobs)

    def backlog_ms(self) -> float:
        """How long, by the costs measured lately, until all that is queued or running is done."""
        with self._changed:
            return self._pending_cost * self._ms_per_unit / self._workers

    def close(self) -> None:
        """Finish what is queued, then end the workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        while threads := list(self._threads):
            for thread in threads:
                thread.join()

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name=f"lane-{self.name}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        held: list[_Job[Item, Result]] = []
        try:
            while held := self._take():
                self._process(held)
        except BaseException as exc:  # noqa: BLE001 - the top of a worker; callers must hear of its death
            self._bury(held, exc)
        finally:
            self._threads.discard(threading.current_thread())

    def _take(self) -> list[_Job[Item, Result]]:
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                taken: list[_Job[Item, Result]] = []
                while self._jobs and len(taken) < self._max_batch:
                    job = heapq.heappop(self._jobs)
                    if job.future.set_running_or_notify_cancel():
                        taken.append(job)
                    else:
                        self._pending_cost -= job.cost
                if taken or self._closed:
                    return taken

    def _process(self, batch: list[_Job[Item, Result]]) -> None:
        started = time.monotonic()
        try:
            results = self._run([job.item for job in batch])
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the callers
            self._fail_or_split(batch, exc)
            return
        ran = time.monotonic() - started
        self._metrics.batch_sizes.labels(self.name).observe(len(batch))
        self.fault = None
        self._settle(batch, ran)
        for job, result in zip(batch, results, strict=True):
            job.future.set_result(Done(result, started - job.submitted, ran))

    def _fail_or_split(self, batch: list[_Job[Item, Result]], exc: Exception) -> None:
        if len(batch) > 1:
            for job in batch:
                self._process([job])
            return
        if not isinstance(exc, PostingError):  # a picture that cannot be decoded is no fault of the lane
            self.fault = f"the last batch failed: {type(exc).__name__}"
        self._settle(batch, None)
        batch[0].future.set_exception(exc)

    def _settle(self, batch: list[_Job[Item, Result]], ran_s: float | None) -> None:
        cost = sum(job.cost for job in batch)
        with self._changed:
            self._pending_cost -= cost
            if ran_s is not None:
                self._ms_per_unit += 0.1 * (ran_s * 1e3 / cost - self._ms_per_unit)

    def _bury(self, held: list[_Job[Item, Result]], exc: BaseException) -> None:
        logger.error("a worker died", exc_info=exc, extra={"lane": self.name})
        self.fault = f"a worker died: {type(exc).__name__}"
        orphans = [job for job in held if not job.future.done()]
        self._settle(orphans, None)
        for job in orphans:
            job.future.set_exception(WorkerDied("the worker that held this request died; send the request again"))
        self._start_worker()


def run_calls(calls: Sequence[Callable[[], Result]]) -> Sequence[Result]:
    """The work of a lane whose items are calls."""
    return [call() for call in calls]


AnyLane: TypeAlias = Lane[Any, Any]
