"""Lanes: nobody waits without need, one bad item fails alone, a dead worker is heard of."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context

import pytest

from service.batcher import Lane, Workers
from service.bundle.errors import ImageMalformed
from service.errors import Draining, WorkerDied
from service.jobs import Done, Priority, enter
from service.metrics import Metrics

Run = Callable[[Sequence[int]], Sequence[int]]


class Doubling:
    """Doubles numbers, once it is let; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> Sequence[int]:
        """One batch."""
        self.batches.append(list(items))
        self.entered.release()
        assert self.let.acquire(timeout=10)
        return [2 * item for item in items]


@contextmanager
def lane_of(run: Run, *, workers: int = 1, max_batch: int = 4) -> Iterator[Lane[int, int]]:
    with working(workers) as found:
        yield Lane("test", run, found, max_batch=max_batch, ms_per_unit=10.0)


@contextmanager
def working(cores: int) -> Iterator[Workers]:
    workers = Workers(cores, Metrics())
    try:
        yield workers
    finally:
        workers.close()


def submit(lane: Lane[int, int], *items: int, priority: Priority = Priority.QUERY) -> list[Future[Done[int]]]:
    return [lane.submit(item, 1.0, priority) for item in items]


def results(futures: Sequence[Future[Done[int]]]) -> list[int]:
    return [future.result(timeout=10).result for future in futures]


def test_an_idle_worker_starts_at_once_and_a_busy_one_finds_what_gathered() -> None:
    """The first item runs alone, those that came meanwhile run together, no more than `max_batch` of them."""
    run = Doubling()
    with lane_of(run) as lane:
        first = submit(lane, 1)
        assert run.entered.acquire(timeout=10)
        rest = submit(lane, 2, 3, 4, 5, 6)
        run.let.release(3)
        assert results([*first, *rest]) == [2, 4, 6, 8, 10, 12]
    assert run.batches == [[1], [2, 3, 4, 5], [6]]


def test_each_caller_gets_the_result_of_its_own_item() -> None:
    """Results find their callers, from however many threads and workers."""
    with lane_of(lambda items: [item * item for item in items], workers=3) as lane:
        found: dict[int, int] = {}

        def ask(start: int) -> None:
            for item in range(start, start + 50):
                found[item] = lane.submit(item, 1.0, Priority.QUERY).result(timeout=10).result

        threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 400, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {item: item * item for item in range(400)}


def test_a_bad_item_fails_alone() -> None:
    """A batch with one bad item is run again item by item: the others get their results, it gets its error."""

    def run(items: Sequence[int]) -> Sequence[int]:
        if 3 in items:
            raise ZeroDivisionError("three")
        return list(items)

    held = Doubling()
    with lane_of(lambda items: held(items) if items == [0] else run(items)) as lane:
        first = submit(lane, 0)
        assert held.entered.acquire(timeout=10)
        good_and_bad = submit(lane, 1, 2, 3, 4)
        held.let.release()
        assert results([*first, *good_and_bad[:2], good_and_bad[3]]) == [0, 1, 2, 4]
        with pytest.raises(ZeroDivisionError, match="three"):
            good_and_bad[2].result(timeout=10)


def test_a_fault_shows_until_a_batch_goes_well() -> None:
    """An encoder's failure is a fault of the lane until the next success; a bad picture is none."""
    errors: list[Exception] = [ImageMalformed("torn"), ValueError("odd")]

    def run(items: Sequence[int]) -> Sequence[int]:
        if errors:
            raise errors.pop(0)
        return items

    with lane_of(run, max_batch=1) as lane:
        with pytest.raises(ImageMalformed):
            submit(lane, 1)[0].result(timeout=10)
        assert lane.fault is None
        with pytest.raises(ValueError, match="odd"):
            submit(lane, 1)[0].result(timeout=10)
        assert lane.fault == "the last batch failed: ValueError"
        assert results(submit(lane, 1)) == [1]
        assert lane.fault is None


def test_a_dead_worker_fails_its_callers_and_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """When a worker dies, who waits for it hears of it, the lane shows it, and the next item is done by another."""

    def run(items: Sequence[int]) -> Sequence[int]:
        if items[0] == 0:
            raise SystemExit("killed")
        return items

    with lane_of(run) as lane:
        with pytest.raises(WorkerDied):
            submit(lane, 0)[0].result(timeout=10)
        assert lane.fault == "a worker died: SystemExit"
        assert [record.message for record in caplog.records] == ["a worker died"]
        assert results(submit(lane, 7)) == [7]
        assert lane.fault is None
        assert lane.work_ms() == 0


def test_queries_overtake_bulk_loads_but_not_for_ever() -> None:
    """Of what waits, queries go before additions before bulk loads; what has waited long enough goes first."""
    run = Doubling()
    with lane_of(run, max_batch=1) as lane:
        first = submit(lane, 0)
        assert run.entered.acquire(timeout=10)
        late = [
            *submit(lane, 3, priority=Priority.BULK),
            *submit(lane, 2, priority=Priority.ADDITION),
            *submit(lane, 1, priority=Priority.QUERY),
        ]
        run.let.release(4)
        results([*first, *late])
    assert run.batches == [[0], [1], [2], [3]]
    assert Priority.BULK.value < 5  # the head start is bounded, so a bulk line waits at most this much longer


def test_who_gives_up_leaves_the_queue() -> None:
    """A cancelled item is not run, and is not counted as waiting work."""
    run = Doubling()
    with lane_of(run, max_batch=1) as lane:
        first = submit(lane, 1)
        assert run.entered.acquire(timeout=10)
        gone, kept = submit(lane, 2, 3)
        gone.cancel()
        run.let.release(2)
        assert results([*first, kept]) == [2, 6]
        assert lane.work_ms() == 0
    assert run.batches == [[1], [3]]


def test_the_backlog_is_the_cost_of_what_waits_and_runs() -> None:
    """Work is estimated in milliseconds of one core; it is nothing when all is done."""
    run = Doubling()
    with lane_of(run, workers=2, max_batch=1) as lane:
        futures = submit(lane, 1, 2, 3, 4)
        assert lane.work_ms() == pytest.approx(4 * 10.0)
        run.let.release(4)
        results(futures)
        assert lane.waiting == 0
        assert lane.work_ms() == 0


def test_what_another_lane_will_pass_on_counts_too() -> None:
    """An item that is expected is waiting work; one that never comes is forgotten."""
    with lane_of(lambda items: items) as lane:
        with lane.expecting(3.0, Priority.QUERY):
            assert lane.work_ms() == pytest.approx(30.0)
        assert lane.work_ms() == 0


def test_the_cost_is_measured() -> None:
    """The estimate moves from the first guess of 10 ms towards what batches really take."""
    held = Doubling()
    with lane_of(lambda items: held(items) if items == [0] else items, max_batch=1) as lane:
        for _ in range(60):
            results(submit(lane, 1))
        last = submit(lane, 0)
        assert lane.work_ms() < 5.0
        held.let.release()
        results(last)


def test_begun_work_is_finished_first() -> None:
    """The second stage of an earlier request goes before the first stage of a later one, whatever came when."""
    ran: list[str] = []
    held = Doubling()
    with working(1) as workers:
        first: Lane[str, None] = Lane(
            "first", lambda names: [ran.append(name) for name in names], workers, ms_per_unit=1.0
        )
        second: Lane[str, None] = Lane(
            "second", lambda names: [ran.append(name) for name in names], workers, ms_per_unit=1.0
        )
        busy = Lane("busy", held, workers, ms_per_unit=1.0).submit(0, 1.0, Priority.QUERY)
        assert held.entered.acquire(timeout=10)

        def earlier() -> list[Future[Done[None]]]:
            enter()
            later = Context().run(first.submit, "first of the later", 1.0, Priority.QUERY)
            return [later, second.submit("second of the earlier", 1.0, Priority.QUERY)]

        futures = Context().run(earlier)
        held.let.release()
        for future in (busy, *futures):
            future.result(timeout=10)
    assert ran == ["second of the earlier", "first of the later"]


def test_what_a_query_overtakes_does_not_count() -> None:
    """The backlog of a query leaves additions and bulk loads out, that of an addition bulk loads; cores share it."""
    run = Doubling()
    with working(2) as workers:
        lane = Lane("test", run, workers, ms_per_unit=10.0)
        futures = [
            *submit(lane, 1),
            *submit(lane, 2, 3, priority=Priority.ADDITION),
            *submit(lane, 4, 5, 6, 7, priority=Priority.BULK),
        ]
        assert [workers.backlog_ms(one) for one in Priority] == [5.0, 15.0, 35.0]
        run.let.release(7)
        results(futures)
        assert workers.backlog_ms() == 0


def test_a_batch_takes_idle_cores() -> None:
    """Where a lane can run wide it does, as long as the cores it takes would be idle; its work counts every core."""
    wide, held = Doubling(), Doubling()
    with working(2) as workers:
        lane: Lane[int, int] = Lane("test", lambda items: [-1], workers, ms_per_unit=10.0, wide=(2, wide))
        wide.let.release()
        assert results(submit(lane, 1)) == [2]
        busy = Lane("busy", held, workers, ms_per_unit=1.0).submit(0, 1.0, Priority.QUERY)
        assert held.entered.acquire(timeout=10)
        assert results(submit(lane, 1)) == [-1]
        held.let.release()
        busy.result(timeout=10)


def test_how_long_the_oldest_waits() -> None:
    """The age is of what still waits: who gave up is not in it, nor in the length of the queue."""
    run = Doubling()
    with lane_of(run) as lane:
        first = submit(lane, 1)
        assert run.entered.acquire(timeout=10)
        assert lane.oldest_s() == 0
        (gone,) = submit(lane, 2)
        time.sleep(0.05)
        (kept,) = submit(lane, 3)
        assert lane.oldest_s() >= 0.05
        gone.cancel()
        assert (lane.oldest_s() < 0.05, lane.waiting) == (True, 1)
        run.let.release(2)
        results([*first, kept])


def test_closing_finishes_what_is_queued() -> None:
    """A close waits for accepted items, and takes no further one."""
    run = Doubling()
    with lane_of(run) as lane:
        futures = submit(lane, 1, 2, 3)
        run.let.release(3)
    assert results(futures) == [2, 4, 6]
    with pytest.raises(Draining):
        submit(lane, 4)
