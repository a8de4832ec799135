"""What is stored, read through one connection: the rows one by one, all of them, and what the indexes say of them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from index.errors import DatabaseDamaged
from index.faults import sqlite_faults
from index.rows import COLUMNS, Columns, Row, from_columns

DATABASE = "postings.sqlite"
# By way of the label, or SQLite takes the id from its index and never looks at the one in the row.
BY_ID = f"SELECT {COLUMNS} FROM posting WHERE label = (SELECT label FROM posting WHERE posting_id = ?)"
BY_LABELS = f"SELECT {COLUMNS} FROM posting WHERE label IN carray(?)"
_ROWS_AT_ONCE = 256  # whoever verifies them holds the interpreter for 2 ms


@dataclass(frozen=True, slots=True)
class Binding:
    """What the vectors of an index were made with; `dimensions` per view."""

    encoder_id: str
    dimensions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ledger:
    """
    What the table must hold: the last sequence number given, how many rows, and the sum of their sequence numbers.

    No row can be lost, brought back or replaced by an older self without moving one of the three.
    """

    sequence: int
    postings: int
    sequence_sum: int


class Table:
    """Reads; raises SQLite's own errors but where it says otherwise. Not thread-safe."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection

    def close(self) -> None:
        """Close the connection, without a checkpoint."""
        self.connection.close()

    def binding(self) -> Binding | None:
        """What the vectors were made with, or None before the first `bind`."""
        bound: tuple[str, str] | None = self.connection.execute("SELECT encoder_id, dimensions FROM ledger").get
        if bound is None:
            return None
        try:
            return Binding(bound[0], json.loads(bound[1]))
        except (ValueError, TypeError) as exc:
            raise DatabaseDamaged(f"{DATABASE}: cannot read which encoders it has; restore a backup") from exc

    def faults(self) -> AbstractContextManager[None]:
        """Translate SQLite's errors; see `sqlite_faults`."""
        return sqlite_faults(self.connection, DATABASE)

    def ledger(self) -> Ledger:
        """The ledger as committed."""
        query = "SELECT sequence, postings, sequence_sum FROM ledger"
        recorded: tuple[int, int, int] = self.connection.execute(query).get
        if not all(isinstance(number, int) for number in recorded):
            raise DatabaseDamaged(f"{DATABASE}: its ledger holds no numbers; restore a backup")
        return Ledger(*recorded)

    def recount(self) -> Ledger:
        """What the rows themselves say; `sequence` is the highest number in them."""
        return self._count("NOT INDEXED")

    def recount_quickly(self) -> Ledger:
        """The same by an index, forty times smaller than the rows."""
        return self._count("INDEXED BY posting_by_views")

    def _count(self, source: str) -> Ledger:
        # The mask keeps a damaged number from overflowing the sum; no true one comes near 2^40.
        query = f"""
            SELECT coalesce(max(max(sequence), max(label)), 0), count(*), coalesce(sum(sequence & 0xFFFFFFFFFF), 0)
            FROM posting {source}
        """
        counted: tuple[int, int, int] = self.connection.execute(query).get
        return Ledger(*counted)

    def view_sets(self) -> dict[bytes, int]:
        """How many rows there are of each view set, as an index has it."""
        query = "SELECT views, count(*) FROM posting INDEXED BY posting_by_views GROUP BY views"
        return dict(self.connection.execute(query))

    def labels_of(self, views: bytes, *, after: int = -1, until: int = 2**62) -> NDArray[np.int64]:
        """The labels of the rows of a view set written after one sequence number and until another, in order."""
        query = """
            SELECT label FROM posting INDEXED BY posting_by_views WHERE views = ? AND sequence > ? AND sequence <= ?
        """
        found = self.connection.execute(query, (views, after, until))
        return np.sort(np.fromiter((label for (label,) in found), dtype=np.int64))

    def columns_of(self, labels: NDArray[np.int64]) -> Iterator[list[Columns]]:
        """The rows of these labels, some at a time, as `COLUMNS`, not yet verified."""
        for start in range(0, len(labels), _ROWS_AT_ONCE):
            wanted = apsw.carray(labels[start : start + _ROWS_AT_ONCE])
            yield self.connection.execute(BY_LABELS, (wanted,)).fetchall()

    def row(self, posting_id: bytes) -> Row | None:
        """The row of this id, verified; raises CorruptRow."""
        columns = self.connection.execute(BY_ID, (posting_id,)).get
        return None if columns is None else from_columns(columns, posting_id)

    def row_of(self, label: int) -> Row | None:
        """The row of this label, verified; raises CorruptRow."""
        columns = self.connection.execute(f"SELECT {COLUMNS} FROM posting WHERE label = ?", (label,)).get
        return None if columns is None else from_columns(columns)

    def labels(self) -> list[int]:
        """All labels, as the rows have them, in order."""
        return [label for (label,) in self.connection.execute("SELECT label FROM posting NOT INDEXED ORDER BY label")]

    def label(self, posting_id: bytes) -> int:
        """The label of an id that is there, without a look at the rest of its row."""
        return int(self.connection.execute("SELECT label FROM posting WHERE posting_id = ?", (posting_id,)).get)

    def raw_rows(self) -> Iterator[Columns]:
        """All rows in order of label, as `COLUMNS`, not yet verified."""
        return iter(self.connection.execute(f"SELECT {COLUMNS} FROM posting ORDER BY label"))

    def id_entries(self) -> Iterator[tuple[bytes, int]]:
        """All (id, label) as the index of ids has them, without a look at the rows."""
        return iter(self.connection.execute("SELECT posting_id, label FROM posting INDEXED BY posting_by_id"))

    def id_of(self, label: int) -> str:
        """The id that the index of ids has for a row, also for a damaged one."""
        found = (posting_id for posting_id, entry in self.id_entries() if entry == label)
        return next(found, b"").decode(errors="replace")

    def views_entries(self) -> Iterator[tuple[bytes, int, int]]:
        """All (views, sequence, label) as the index of view sets has them, without a look at the rows."""
        query = "SELECT views, sequence, label FROM posting INDEXED BY posting_by_views"
        return iter(self.connection.execute(query))

    def tag_entries(self) -> Iterator[tuple[bytes, int]]:
        """All (tag, label) as stored, as bytes: a damaged tag may be no text any more."""
        return iter(self.connection.execute("SELECT CAST(tag AS BLOB), label FROM tag"))
