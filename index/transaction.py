"""What the writes of one group read and change; nothing outside sees it before the commit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from index.errors import IndexFault, StorageFailed
from index.flat import Placement
from index.rows import Content, Row, metadata_of, tags_of
from index.store import Ledger, Store

T = TypeVar("T")


@dataclass(slots=True)
class Transaction:
    """The database as the group has it by now, and what the commit will mean to FAISS and to the pictures."""

    store: Store
    ledger: Ledger
    placements: list[Placement] = field(default_factory=list)
    pictures: list[tuple[bytes, bytes]] = field(default_factory=list)
    released: list[bytes] = field(default_factory=list)

    def attempt(self, operation: "Operation[T]") -> T | IndexFault:
        """Run one write in a savepoint of its own: if it fails, it fails alone and leaves no trace."""
        before = self.ledger, len(self.placements), len(self.pictures), len(self.released)
        result: T | IndexFault
        try:
            with self.store.faults(), self.store.connection:
                result = operation(self)
        except StorageFailed:
            raise
        except IndexFault as fault:
            if not self.store.in_transaction:
                raise  # SQLite gave up the whole group, not only this write
            self._return_to(*before)
            result = fault
        return result

    def find(self, posting_id: bytes) -> Row | None:
        """The posting's row; raises CorruptRow."""
        return self.store.row(posting_id)

    def write(self, content: Content, replaced: Row | None) -> Row:
        """Store content under the next sequence number, in place of a row where there is one."""
        if replaced is not None:
            self._take_out(replaced)
        sequence = self.ledger.sequence + 1
        now_us = time.time_ns() // 1_000
        row = Row(
            label=sequence if replaced is None else replaced.label,
            sequence=sequence,
            created_us=now_us if replaced is None else replaced.created_us,
            updated_us=now_us,
            content=content,
        )
        self.store.insert(row, tags_of(metadata_of(content)))
        self.ledger = Ledger(sequence, self.ledger.postings + 1, self.ledger.sequence_sum + sequence)
        self.placements.append(Placement(row.label, content.views, content.vectors))
        return row

    def delete(self, row: Row) -> None:
        """Remove a row; this takes a sequence number too, so that a lost delete shows."""
        self._take_out(row)
        self.ledger = Ledger(self.ledger.sequence + 1, self.ledger.postings, self.ledger.sequence_sum)

    def delete_damaged(self, posting_id: bytes) -> None:
        """Remove a row that does not match its checksum: nothing it says is trusted, so the table is counted anew."""
        label = self.store.label(posting_id)
        if label is None:
            return
        self.store.remove_unread([label])
        self.placements.append(Placement(label, b"", None))
        found = self.store.recount()
        self.ledger = Ledger(self.ledger.sequence + 1, found.postings, found.sequence_sum)

    def _return_to(self, ledger: Ledger, placements: int, pictures: int, released: int) -> None:
        self.ledger = ledger
        del self.placements[placements:], self.pictures[pictures:], self.released[released:]

    def _take_out(self, row: Row) -> None:
        self.store.remove(row.label, tags_of(metadata_of(row.content)))
        self.placements.append(Placement(row.label, b"", None))
        self.ledger = Ledger(self.ledger.sequence, self.ledger.postings - 1, self.ledger.sequence_sum - row.sequence)
        if row.content.image_digest is not None:
            self.released.append(row.content.image_digest)


Operation: TypeAlias = Callable[[Transaction], T]
