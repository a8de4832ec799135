"""What the index does besides serving: builds larger sets, writes snapshots, verifies what a start took on trust."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.building import build_snapshot, fill, placements, restore
from index.child import Child
from index.flat import FlatSet
from index.ivf import IvfSet
from index.quarantine import Quarantine
from index.scrub import Verdict, examine
from index.snapshot import Entries, Identity, snapshot_path, write_snapshot
from index.sqlite import open_reader
from index.table import DATABASE, Table
from index.tuning import Tuning
from index.viewsets import Exchange, Placement, ViewSet, ViewSets

logger = logging.getLogger(__name__)
_FEW = 256  # labels that the writer may wait for
_MOST_PASSES = 8
_AT_CLOSE = 0.1  # of the changes for which a snapshot is written while serving


@dataclass(frozen=True, slots=True)
class SetHealth:
    """One view set. `snapshot_age_s` is None where there is no snapshot, `rows_behind` is how many changes it lacks."""

    kind: str
    postings: int
    lists: int
    snapshot_age_s: float | None
    rows_behind: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the background work stands; `verified` tells whether all rows have been read since the start."""

    sets: Mapping[str, SetHealth]
    building: bool
    builds_done: int
    builds_failed: int
    snapshots_done: int
    snapshots_failed: int
    verified: bool


@dataclass(slots=True)
class _Task:
    """How often a kind of work was done and failed, and not before when (monotonic) it is tried again."""

    done: int = 0
    failed: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class _Saved:
    """The snapshot of a set: `changes` of which set it has, and when (seconds since 1970) it was written."""

    stored: IvfSet
    changes: int
    written_s: float


@dataclass(slots=True)
class Upkeep:
    """
    A thread that looks every second what there is to do, and does one thing after the other.

    Training and verifying of more than a few rows run in another process of the lowest priority: in this one they
    would hold the interpreter while queries wait for it. What fails is logged and tried again later.
    """

    directory: Path
    sets: ViewSets
    quarantine: Quarantine
    identity: Identity
    tuning: Tuning
    written: Mapping[bytes, int]  # the snapshots that the start took, and when each was written; empty if it took none
    repair: Callable[[Verdict], None]  # does to the database what a verdict on its rows asks for
    _saved: dict[bytes, _Saved] = field(default_factory=dict)
    _doubted: set[bytes] = field(default_factory=set)
    _builds: _Task = field(default_factory=_Task)
    _snapshots: _Task = field(default_factory=_Task)
    _examinations: _Task = field(default_factory=_Task)
    _building: bool = False
    _verified: bool = False
    _child: Child = field(default_factory=Child)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._verified = not self.written
        for views, stored in self.sets.current().items():
            if isinstance(stored, IvfSet) and views in self.written:
                self._saved[views] = _Saved(stored, 0, self.written[views])
        self._thread = threading.Thread(target=self._run, name="index-upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Break off what is being done, and end the thread."""
        self._stopping.set()
        self._child.stop()
        if self._thread is not None:
            self._thread.join()

    def save(self) -> None:
        """After `stop`: leave snapshots that the next start will not have to add much to."""
        for views, stored in self.sets.current().items():
            if isinstance(stored, IvfSet) and self._is_behind(views, stored, _AT_CLOSE):
                self._attempt(self._snapshots, self.write_snapshot, views)

    def health(self) -> Health:
        """How things stand."""
        return Health(
            {views.decode(): self._set_health(views, stored) for views, stored in self.sets.current().items()},
            self._building,
            self._builds.done,
            self._builds.failed,
            self._snapshots.done,
            self._snapshots.failed,
            self._verified,
        )

    def look(self) -> None:
        """Do what is due."""
        if not self._verified:
            self._attempt(self._examinations, self.examine)
        for views, stored in self.sets.current().items():
            if self._stopping.is_set():
                return
            if self._is_outgrown(views, stored):
                self._attempt(self._builds, self.build, views)
            elif isinstance(stored, IvfSet) and self._is_behind(views, stored, 1.0):
                self._attempt(self._snapshots, self.write_snapshot, views)

    def build(self, views: bytes) -> None:
        """Make a set anew, of the kind that its size asks for, while searches and writes go on in the present one."""
        stored = self.sets.current()[views]
        if len(stored) < self.tuning.ivf_from / (2 if isinstance(stored, IvfSet) else 1):
            self._flatten(views)
            return
        self._building = True
        try:
            train = build_snapshot if len(stored) < self.tuning.process_from else self._child.build
            train(self.directory, views, self.identity, self.tuning)
            with closing(self._table()) as table, table.faults(), self.sets.exchange(views) as exchange:
                fusion = self.sets.fusion(views)
                made, written_s = restore(self.directory, table, self.quarantine, views, fusion, self.identity)
                self._exchange(exchange, made, table)
            self._saved[views] = _Saved(made, 0, written_s)
            self._doubted.discard(views)
        finally:
            self._building = False

    def write_snapshot(self, views: bytes) -> None:
        """Write a set to its file, list by list, while it serves and changes."""
        stored = self.sets.current()[views]
        if not isinstance(stored, IvfSet):
            return
        changes, sequence = stored.changes, self.sets.sequence

        def entries(number: int) -> Entries:
            with self.sets.reading():
                return stored.list_entries(number)

        write_snapshot(snapshot_path(self.directory, views), self.identity.of(views), stored, sequence, entries)
        self._saved[views] = _Saved(stored, changes, time.time())

    def examine(self) -> None:
        """Verify all rows, and what else is derived from them."""
        small = sum(map(len, self.sets.current().values())) < self.tuning.process_from
        verdict = examine(self.directory) if small else self._child.examine(self.directory)
        with closing(self._table()) as table, table.faults():
            for _ in placements(table, self.quarantine, np.array(verdict.damaged, dtype=np.int64)):
                pass  # the quarantine has seen them now
        if not verdict.indexes_agree:
            self._doubted.update(self.sets.current())  # they were filled by an index that was wrong
        self.repair(verdict)
        self._verified = True

    def _run(self) -> None:
        while not self._stopping.wait(self.tuning.pause_s):
            self.look()

    def _attempt(self, task: _Task, work: Callable[..., None], *arguments: bytes) -> None:
        if time.monotonic() < task.not_before:
            return
        try:
            work(*arguments)
            task.done += 1
        except Exception:  # the top of a worker: whatever it is, the index serves on without
            if self._stopping.is_set() and task is not self._snapshots:
                return  # broken off
            task.failed += 1
            task.not_before = time.monotonic() + self.tuning.retry_s
            logger.exception("work in the background failed and will be tried again")

    def _is_outgrown(self, views: bytes, stored: ViewSet) -> bool:
        count, factor = len(stored), self.tuning.retrain_factor
        if views in self._doubted:
            return True
        if not isinstance(stored, IvfSet):
            return count >= self.tuning.ivf_from
        other_size = not stored.trained_on / factor < count < stored.trained_on * factor
        return count < self.tuning.ivf_from / 2 or other_size

    def _flatten(self, views: bytes) -> None:
        with closing(self._table()) as table, table.faults(), self.sets.exchange(views) as exchange:
            made = FlatSet(self.sets.fusion(views))
            fill(made, table, self.quarantine, views, table.labels_of(views))
            self._exchange(exchange, made, table)
        self._saved.pop(views, None)
        self._doubted.discard(views)
        snapshot_path(self.directory, views).unlink(missing_ok=True)

    def _exchange(self, exchange: Exchange, made: ViewSet, table: Table) -> None:
        def rows_of(labels: NDArray[np.int64]) -> Sequence[Placement]:
            return [one for batch in placements(table, self.quarantine, labels) for one in batch]

        for _ in range(_MOST_PASSES):
            if exchange.catch_up(made, rows_of) <= _FEW:
                break
        exchange.swap(made, rows_of)

    def _behind(self, views: bytes, stored: IvfSet) -> int | None:
        """How many changes of a set its snapshot lacks; None without one."""
        saved = self._saved.get(views)
        return stored.changes - saved.changes if saved is not None and saved.stored is stored else None

    def _is_behind(self, views: bytes, stored: IvfSet, part: float) -> bool:
        behind, tuning = self._behind(views, stored), self.tuning
        return behind is None or behind > part * max(tuning.snapshot_behind, tuning.snapshot_share * len(stored))

    def _set_health(self, views: bytes, stored: ViewSet) -> SetHealth:
        if not isinstance(stored, IvfSet):
            return SetHealth("flat", len(stored), 0, None, 0)
        saved = self._saved.get(views)
        age_s = None if saved is None else time.time() - saved.written_s
        behind = self._behind(views, stored)
        return SetHealth("ivf", len(stored), stored.lists, age_s, len(stored) if behind is None else behind)

    def _table(self) -> Table:
        return Table(open_reader(self.directory / DATABASE))
