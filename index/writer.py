"""One thread writes for all: concurrent writers share a commit."""

import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from index.changes import Operation
from index.commit import Committer
from index.errors import IndexClosed, IndexFault, StorageFailed, StorageFull

logger = logging.getLogger(__name__)
T = TypeVar("T")
_MOST_IN_A_GROUP = 256


@dataclass(frozen=True, slots=True)
class _Job:
    operation: Operation[Any]
    future: Future[Any]


class Writer:
    """
    Takes writes from any thread, in order, and resolves each future once its write is durable and searchable.

    While one group is being committed the next one gathers; nobody waits for company. After a failed disk, or a bug,
    the thread fails its callers and every later write: what cannot be known to be stored is not acknowledged.
    """

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._changed = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._closing = False
        self._failure: StorageFailed | None = None
        self._last_full: StorageFull | None = None
        self._thread = threading.Thread(target=self._run, name="index-writer", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> StorageFull | StorageFailed | None:
        """Why writes fail at present, or None. A full disk is forgotten with the next write that succeeds."""
        return self._failure or self._last_full

    def submit(self, operation: Operation[T]) -> Future[T]:
        """
        Queue one write.

        Raises:
            IndexClosed: after `close`.
            StorageFailed: an earlier write found the disk failing.
        """
        future: Future[T] = Future()
        with self._changed:
            if self._failure is not None:
                raise StorageFailed(str(self._failure)) from self._failure
            if self._closing:
                raise IndexClosed("the index is closed")
            self._waiting.append(_Job(operation, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what was accepted, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        group: list[_Job] = []
        try:
            while group := self._next_group():
                self._commit(group)
                self._committer.tidy()
        except BaseException as exc:  # the top of a worker: whatever it is, nobody may wait for ever
            logger.exception("the index's writer stopped")
            self._fail(exc, group)

    def _next_group(self) -> list[_Job]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_IN_A_GROUP))]
                if not jobs:
                    return []
            if wanted := [job for job in jobs if job.future.set_running_or_notify_cancel()]:
                return wanted

    def _commit(self, group: list[_Job]) -> None:
        try:
            outcomes = self._committer.commit([job.operation for job in group])
        except StorageFailed:
            raise
        except IndexFault as fault:
            outcomes = [fault] * len(group)
        self._note(next((outcome for outcome in outcomes if isinstance(outcome, StorageFull)), None))
        for job, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, IndexFault):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)

    def _note(self, full: StorageFull | None) -> None:
        """Say that the disk is full, and that it is no more, once each: a bulk load would say it for every line."""
        if full is not None and self._last_full is None:
            logger.error("disk full: writes are refused until there is room, reads go on", extra={"reason": str(full)})
        elif full is None and self._last_full is not None:
            logger.warning("the disk has room again: writes go on")
        self._last_full = full

    def _fail(self, cause: BaseException, group: list[_Job]) -> None:
        failure = cause if isinstance(cause, StorageFailed) else StorageFailed(f"the index's writer stopped: {cause!r}")
        failure.__cause__ = cause.__cause__ if failure is cause else cause
        with self._changed:
            self._failure = failure
            orphans = group + list(self._waiting)
            self._waiting.clear()
        for job in orphans:
            if not job.future.done():
                job.future.set_exception(failure)
