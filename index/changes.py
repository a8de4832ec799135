"""The writes of one group, as they run inside its transaction; nothing outside sees them before the commit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from index.errors import CorruptRow, IndexFault, StorageFailed, UnknownPosting
from index.postings import ANY, Precondition, Written
from index.rows import Content, Row
from index.store import Store
from index.table import Ledger
from index.viewsets import Placement

T = TypeVar("T")


@dataclass(slots=True)
class Transaction:
    """The database as the group has it by now, and what the commit will mean to FAISS and to the pictures."""

    store: Store
    ledger: Ledger
    placements: list[Placement] = field(default_factory=list)
    pictures: dict[bytes, bytes] = field(default_factory=dict)
    released: set[bytes] = field(default_factory=set)

    def attempt(self, operation: "Operation[T]") -> T | IndexFault:
        """Run one write in a savepoint of its own: if it fails, it fails alone and leaves no trace."""
        trial = Transaction(self.store, self.ledger)
        try:
            with self.store.attempt():
                result = operation(trial)
        except IndexFault as fault:
            if isinstance(fault, StorageFailed) or not self.store.in_transaction:
                raise  # the disk fails, or SQLite gave up the whole group and not only this write
            return fault
        self.ledger = trial.ledger
        self.placements += trial.placements
        self.pictures |= trial.pictures
        self.released |= trial.released
        return result

    def put(self, content: Content, picture: bytes | None, precondition: Precondition) -> Written:
        """Create or replace a posting."""
        postings = self.ledger.postings
        stored = self._stored(content.posting_id, precondition)
        if picture is not None and content.image_digest is not None:
            # Also where the content is unchanged: a picture whose file was lost comes back with the next import.
            self.pictures[content.image_digest] = picture
        written = self._write(content, stored)
        return replace(written, created=self.ledger.postings > postings)

    def patch(self, posting_id: bytes, edit: Callable[[Content], Content], precondition: Precondition) -> Written:
        """Change a posting."""
        stored = self.store.row(posting_id)
        if stored is None:
            raise UnknownPosting("no posting has this id; put it first")
        precondition.require(stored.sequence)
        return self._write(edit(stored.content), stored)

    def delete(self, posting_id: bytes, precondition: Precondition) -> bool:
        """Remove a posting, True if it was there; this takes a sequence number too, so that a lost delete shows."""
        postings = self.ledger.postings
        stored = self._stored(posting_id, precondition)
        if stored is not None:
            self._take_out(stored)
            self.ledger = replace(self.ledger, sequence=self.ledger.sequence + 1)
        return self.ledger.postings < postings

    def _stored(self, posting_id: bytes, precondition: Precondition) -> Row | None:
        """The row in whose place a write comes. A damaged one goes, unless a condition asks what it was."""
        try:
            stored = self.store.row(posting_id)
        except CorruptRow:
            if precondition != ANY:
                raise
            self._take_out_damaged(posting_id)
            return None
        precondition.require(None if stored is None else stored.sequence)
        return stored

    def _write(self, content: Content, stored: Row | None) -> Written:
        """Store content under the next sequence number; what is already there is not written again."""
        if stored is not None:
            # Vectors follow from title and picture, and an encoder may give their last bits differently in a batch.
            if content._replace(vectors=stored.content.vectors) == stored.content:
                return Written(stored.sequence, created=False, changed=False)
            self._take_out(stored)
        sequence, now_us = self.ledger.sequence + 1, time.time_ns() // 1_000
        label, created_us = (sequence, now_us) if stored is None else (stored.label, stored.created_us)
        self.store.insert(Row(label, sequence, created_us, now_us, content))
        self.ledger = Ledger(sequence, self.ledger.postings + 1, self.ledger.sequence_sum + sequence)
        self.placements.append(Placement(label, content.views, content.vectors))
        return Written(sequence, created=False, changed=True)

    def _take_out(self, row: Row) -> None:
        self.store.remove(row)
        self.placements.append(Placement(row.label))
        self.ledger = Ledger(self.ledger.sequence, self.ledger.postings - 1, self.ledger.sequence_sum - row.sequence)
        if row.content.image_digest is not None:
            self.released.add(row.content.image_digest)

    def _take_out_damaged(self, posting_id: bytes) -> None:
        """Nothing that such a row says is trusted, so the table is counted anew."""
        label = self.store.label(posting_id)
        self.store.remove_unread([label])
        self.placements.append(Placement(label))
        self.ledger = replace(self.store.recount_quickly(), sequence=self.ledger.sequence + 1)


Operation: TypeAlias = Callable[[Transaction], T]
