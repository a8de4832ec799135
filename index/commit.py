"""From a group of writes to one durable commit, and on to FAISS."""

import logging
from collections.abc import Sequence
from contextlib import suppress

import apsw

from index.changes import Operation, Transaction
from index.errors import DatabaseDamaged, StorageFull
from index.faults import file_faults
from index.highwater import HIGH_WATER
from index.opening import Parts

logger = logging.getLogger(__name__)
CHECKPOINT_FRAMES = 2_000  # of 8 KiB: bounds the log that a restart reads; more would make syncs of the database rarer


class Committer:
    """Owns everything that a commit touches. The writer thread alone calls it."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._store = parts, parts.store
        self._ledger = parts.store.ledger()
        self._released: set[bytes] = set()
        self._frames = 0
        self._next_checkpoint = CHECKPOINT_FRAMES
        self._store.connection.set_wal_hook(self._count_frames)

    def commit(self, operations: Sequence[Operation[object]]) -> list[object]:
        """
        Run the writes in order and commit them together: one fsync for all.

        Returns:
            Per write its result, or the IndexFault that it alone failed with.

        Raises:
            StorageFull: nothing of the group was stored; later groups may be.
            StorageFailed: what was stored is known only after a restart.
        """
        transaction = Transaction(self._store, self._ledger)
        with self._store.group():
            outcomes = [transaction.attempt(operation) for operation in operations]
            if transaction.pictures:
                # First: a crash in between leaves a picture that nobody uses, never a posting whose picture was lost.
                self._parts.pictures.keep(transaction.pictures)
            if transaction.ledger != self._ledger:
                self._store.write_ledger(transaction.ledger)
        self._ledger = transaction.ledger
        self._released |= transaction.released
        if transaction.placements:
            self._parts.sets.apply(transaction.placements, self._ledger.sequence)
            self._parts.quarantine.release(placement.label for placement in transaction.placements)
            self._mark(self._ledger.sequence)
        return outcomes

    def tidy(self) -> None:
        """What no caller waits for: unused pictures go, and a long log is brought into the database."""
        try:
            self._remove_unused_pictures()
            if self._frames >= self._next_checkpoint:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_RESTART)
        except (StorageFull, DatabaseDamaged):
            logger.exception("tidying failed and will be tried again")

    def close(self) -> None:
        """Leave everything in the database file and on the disk."""
        self._remove_unused_pictures()
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _mark(self, sequence: int) -> None:
        try:
            with file_faults(HIGH_WATER):
                self._parts.high_water.write(sequence)
        except StorageFull:
            logger.warning("no room for the high-water mark; the write itself is durable")

    def _remove_unused_pictures(self) -> None:
        if self._released:
            with self._store.faults():
                unused = [digest for digest in self._released if not self._store.image_in_use(digest)]
            self._parts.pictures.remove(unused)
            self._released.clear()

    def _checkpoint(self, mode: int) -> None:
        self._next_checkpoint = self._frames + CHECKPOINT_FRAMES
        with file_faults(HIGH_WATER):
            self._parts.high_water.sync()
        with self._store.faults(), suppress(apsw.BusyError):  # a reader that stays long: the next one gets further
            self._store.connection.wal_checkpoint(mode=mode)
        self._parts.pictures.checkpoint()

    def _count_frames(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        if frames < self._frames:
            self._next_checkpoint = CHECKPOINT_FRAMES
        self._frames = frames
        return apsw.SQLITE_OK
