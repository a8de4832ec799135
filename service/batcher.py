"""Work-conserving lanes over one set of workers: an idle one takes the most urgent job, and what may go with it."""

import asyncio
import heapq
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeAlias

from service.bundle.errors import PostingError
from service.errors import Draining, WorkerDied
from service.jobs import Done, Item, Job, Priority, Result, new_job
from service.metrics import Metrics
from service.stages import QUEUE

logger = logging.getLogger(__name__)

Run: TypeAlias = Callable[[Sequence[Item]], Sequence[Result]]
_LEARNING_RATE = 0.1


class Workers:
    """
    As many threads as there are cores to use, and the lanes whose jobs they do. Thread-safe.

    More threads than cores would make every stage slower and its time no measure of its work. The most urgent job goes
    first, of whichever lane: later stages of earlier requests before earlier stages of later ones.
    """

    def __init__(self, cores: int, metrics: Metrics) -> None:
        self.cores, self.metrics = cores, metrics
        self.lanes: list[AnyLane] = []
        self.changed = threading.Condition()
        self._busy = 0
        self._closed = False
        self._threads: set[threading.Thread] = set()
        for _ in range(cores):
            self._start_worker()

    def backlog_ms(self, priority: Priority = Priority.BULK) -> float:
        """How long, by the costs measured lately, until all in work that this priority waits for is done."""
        with self.changed:
            return sum(lane.work_ms(priority) for lane in self.lanes) / self.cores

    def one_of_each_ms(self) -> float:
        """What one job of every lane takes, one after the other: about a whole match."""
        with self.changed:
            return sum(lane.ms_per_job for lane in self.lanes)

    def enqueue(self, lane: "AnyLane", job: Job[Any, Any]) -> None:
        """Hand a job in. Raises Draining."""
        with self.changed:
            if self._closed:
                raise Draining("the service is stopping; send the request again in a moment")
            lane.push(job)
            self.changed.notify()

    def close(self) -> None:
        """Finish what is queued, then end the workers."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        while threads := list(self._threads):
            for thread in threads:
                thread.join()

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        held: tuple[AnyLane, list[Job[Any, Any]], bool] | None = None
        try:
            while held := self._take():
                lane, batch, is_wide = held
                try:
                    lane.process(batch, is_wide=is_wide)
                finally:
                    with self.changed:
                        self._busy -= 1
        except BaseException as exc:  # noqa: BLE001 - the top of a worker; callers must hear of its death
            if held is not None:
                held[0].bury(held[1], exc)
            self._start_worker()
        finally:
            self._threads.discard(threading.current_thread())

    def _take(self) -> "tuple[AnyLane, list[Job[Any, Any]], bool] | None":
        with self.changed:
            while True:
                waiting = [lane for lane in self.lanes if lane.next_due() is not None]
                if waiting:
                    lane = min(waiting, key=lambda one: one.next_due() or (0.0, 0))
                    if batch := lane.pop_batch():
                        self._busy += 1
                        # Where cores would stay idle, a batch may take several.
                        return lane, batch, self._busy * lane.wide_cores <= self.cores
                elif self._closed:
                    return None
                else:
                    self.changed.wait()


class Lane(Generic[Item, Result]):
    """
    What waits for one kind of work, done in batches of at most `max_batch`. Thread-safe.

    A batch that fails is run again item by item, so that one bad item fails alone. A worker that dies fails those
    whose jobs it held, is replaced, and leaves a `fault` until the next batch goes well.
    """

    def __init__(
        self,
        name: str,
        run: Run[Item, Result],
        workers: Workers,
        *,
        max_batch: int = 1,
        ms_per_unit: float,
        wide: tuple[int, Run[Item, Result]] | None = None,
    ) -> None:
        """
        `run` gives a result per item, in order; `ms_per_unit` of cost is a first guess, measured from then on.

        `wide` is another way to run, on so many cores at once, for when they would be idle.
        """
        self.name, self._workers, self._max_batch = name, workers, max_batch
        self._run, (self.wide_cores, self._run_wide) = run, wide or (1, run)
        self._ms_per_unit = self.ms_per_job = ms_per_unit
        self._jobs: list[Job[Item, Result]] = []
        self._in_work = dict.fromkeys(Priority, 0.0)  # cost units
        self.fault: str | None = None  # what was wrong with the last batch
        workers.lanes.append(self)
        workers.metrics.dropped.labels(name)

    def through(self, item: Item, priority: Priority, cost: float = 1.0) -> "asyncio.Task[Result]":
        """Queue an item at once, and wait for it without blocking the event loop; who gives up leaves the queue."""
        return asyncio.create_task(self._result(asyncio.wrap_future(self.submit(item, cost, priority))))

    async def _result(self, waiting: "asyncio.Future[Done[Result]]") -> Result:
        done = await waiting
        for stage, seconds in ((QUEUE, done.waited_s), (self.name, done.ran_s)):
            self._workers.metrics.stage(stage, seconds)
        return done.result

    def submit(self, item: Item, cost: float, priority: Priority) -> "Future[Done[Result]]":
        """Queue an item; a future that is cancelled before a worker takes it leaves the queue. Raises Draining."""
        job: Job[Item, Result] = new_job(item, cost, priority)
        self._workers.enqueue(self, job)
        job.future.add_done_callback(partial(self._left, job))
        return job.future

    @contextmanager
    def expecting(self, cost: float, priority: Priority) -> Iterator[None]:
        """Count an item as waiting that another lane has yet to pass on."""
        self._count(priority, cost)
        try:
            yield
        finally:
            self._count(priority, -cost)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        with self._workers.changed:
            return sum(not job.future.cancelled() for job in self._jobs)

    def oldest_s(self) -> float:
        """How long the job that came first of those that wait has been waiting."""
        with self._workers.changed:
            now = time.monotonic()
            return now - min((job.submitted for job in self._jobs if not job.future.cancelled()), default=now)

    def work_ms(self, priority: Priority = Priority.BULK) -> float:
        """What is queued, running or expected, of this priority and those before it, in milliseconds of one core."""
        costs = sum(cost for one, cost in self._in_work.items() if one.value <= priority.value)
        return costs * self._ms_per_unit

    # What follows is called by the workers, the first three of them under their lock.

    def push(self, job: Job[Item, Result]) -> None:
        """Queue a job."""
        heapq.heappush(self._jobs, job)
        self._in_work[job.priority] += job.cost

    def next_due(self) -> tuple[float, int] | None:
        """How urgent the first job is."""
        while self._jobs and self._jobs[0].future.cancelled():
            heapq.heappop(self._jobs)
        return (self._jobs[0].due, self._jobs[0].sequence) if self._jobs else None

    def pop_batch(self) -> list[Job[Item, Result]]:
        """The most urgent jobs, which can no longer be cancelled; none where all were."""
        taken: list[Job[Item, Result]] = []
        while self._jobs and len(taken) < self._max_batch:
            job = heapq.heappop(self._jobs)
            if job.future.set_running_or_notify_cancel():
                taken.append(job)
        return taken

    def process(self, batch: list[Job[Item, Result]], *, is_wide: bool) -> None:
        """Run a batch and tell its callers."""
        run, cores = (self._run_wide, self.wide_cores) if is_wide else (self._run, 1)
        started = time.monotonic()
        try:
            results = run([job.item for job in batch])
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the callers
            self._fail_or_split(batch, exc)
            return
        ran = time.monotonic() - started
        self._workers.metrics.batch_sizes.labels(self.name).observe(len(batch))
        self.fault = None
        self._learn(sum(job.cost for job in batch), len(batch), ran * 1e3 * cores)
        for job, result in zip(batch, results, strict=True):
            self._count(job.priority, -job.cost)
            job.future.set_result(Done(result, started - job.submitted, ran))

    def bury(self, held: list[Job[Item, Result]], exc: BaseException) -> None:
        """A worker died with these jobs in hand."""
        logger.error("a worker died", exc_info=exc, extra={"lane": self.name})
        self.fault = f"a worker died: {type(exc).__name__}"
        for job in held:
            if not job.future.done():
                self._count(job.priority, -job.cost)
                job.future.set_exception(WorkerDied("the worker that held this request died; send the request again"))

    def _fail_or_split(self, batch: list[Job[Item, Result]], exc: Exception) -> None:
        if len(batch) > 1:
            for job in batch:
                self.process([job], is_wide=False)
            return
        if not isinstance(exc, PostingError):  # a picture that cannot be decoded is no fault of the lane
            self.fault = f"the last batch failed: {type(exc).__name__}"
        self._count(batch[0].priority, -batch[0].cost)
        batch[0].future.set_exception(exc)

    def _learn(self, cost: float, jobs: int, core_ms: float) -> None:
        self._ms_per_unit += _LEARNING_RATE * (core_ms / cost - self._ms_per_unit)
        self.ms_per_job += _LEARNING_RATE * (core_ms / jobs - self.ms_per_job)

    def _left(self, job: Job[Item, Result], future: "Future[Done[Result]]") -> None:
        if future.cancelled():  # before a worker took it: it is not run
            self._count(job.priority, -job.cost)
            self._workers.metrics.dropped.labels(self.name).inc()

    def _count(self, priority: Priority, cost: float) -> None:
        with self._workers.changed:
            self._in_work[priority] += cost


def run_calls(calls: Sequence[Callable[[], Result]]) -> Sequence[Result]:
    """The work of a lane whose items are calls."""
    return [call() for call in calls]


AnyLane: TypeAlias = Lane[Any, Any]
