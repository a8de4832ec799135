"""The truth: postings, their tags and the ledger in one SQLite database, written through one connection."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np

from index.errors import DatabaseDamaged, EncoderMismatch
from index.faults import sqlite_faults
from index.rows import COLUMNS, Columns, Row, from_columns, to_columns
from index.sqlite import open_database

DATABASE = "postings.sqlite"
APPLICATION_ID = 0x4B4D4250  # "KMBP"
SCHEMA_VERSION = 1
# By way of the label, or SQLite takes the id from its index and never looks at the one in the row.
BY_ID = f"SELECT {COLUMNS} FROM posting WHERE label = (SELECT label FROM posting WHERE posting_id = ?)"
BY_LABELS = f"SELECT {COLUMNS} FROM posting WHERE label IN carray(?)"
INDEXES = """
CREATE UNIQUE INDEX posting_by_id ON posting (posting_id);
CREATE INDEX posting_by_image ON posting (image_digest) WHERE image_digest IS NOT NULL;
"""
SCHEMA = f"""
CREATE TABLE posting (
    label INTEGER PRIMARY KEY,
    posting_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    title BLOB,
    metadata BLOB NOT NULL,
    image_digest BLOB,
    views BLOB NOT NULL,
    vectors BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT;
{INDEXES}
CREATE TABLE tag (tag TEXT, label INTEGER, PRIMARY KEY (tag, label)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
    encoder_id TEXT NOT NULL,
    dimensions TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    postings INTEGER NOT NULL,
    sequence_sum INTEGER NOT NULL
) STRICT;
"""


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


class Store:
    """The writing connection. Not thread-safe: the writer thread alone uses it once the index is open."""

    def __init__(self, directory: Path) -> None:
        """Open or create the database; raises as `open_database`."""
        self.connection = open_database(directory / DATABASE, APPLICATION_ID, SCHEMA_VERSION, SCHEMA)

    def binding(self) -> Binding | None:
        """What the vectors were made with, or None before the first `bind`."""
        bound: tuple[str, str] | None = self.connection.execute("SELECT encoder_id, dimensions FROM ledger").get
        if bound is None:
            return None
        try:
            return Binding(bound[0], json.loads(bound[1]))
        except (ValueError, TypeError) as exc:
            raise DatabaseDamaged(f"{DATABASE}: cannot read which encoders it has; restore a backup") from exc

    def bind(self, wanted: Binding) -> None:
        """
        Hold a new database to these encoders for good, and an old one to its own.

        Raises:
            EncoderMismatch: it was made with others.
        """
        with self.faults():
            bound = self.binding()
            if bound is None:
                values = (wanted.encoder_id, json.dumps(dict(wanted.dimensions)))
                self.connection.execute("INSERT INTO ledger VALUES (?, ?, 0, 0, 0)", values)
        if bound not in (None, wanted):
            raise EncoderMismatch(
                f"the index holds vectors of encoders {bound.encoder_id} {bound.dimensions}, the bundle has "
                f"{wanted.encoder_id} {wanted.dimensions}; move the index to the bundle's with "
                f"`kembar reembed`, use a bundle with the index's encoders, or another data directory"
            )

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

    @property
    def in_transaction(self) -> bool:
        """Whether the group's transaction still stands."""
        return not self.connection.get_autocommit()

    @contextmanager
    def group(self) -> Iterator[None]:
        """What is written within is committed together at its end, or not at all; translates SQLite's errors."""
        with self.faults():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.commit()
            finally:
                if self.in_transaction:
                    self.connection.execute("ROLLBACK")

    def commit(self) -> None:
        """Make the group durable."""
        self.connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Bring the log into the file, durably, and cut it to nothing; translates SQLite's errors."""
        with self.faults():
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """Close the connection, without a checkpoint."""
        self.connection.close()

    def used_bytes(self) -> int:
        """The size of the file, without what is free inside."""
        pragma = self.connection.pragma
        return int((pragma("page_count") - pragma("freelist_count")) * pragma("page_size"))

    def recount(self) -> Ledger:
        """What the table holds in fact; `sequence` is the highest number in it."""
        # The mask keeps a damaged number from overflowing the sum; no true one comes near 2^40.
        query = """
            SELECT coalesce(max(max(sequence), max(label)), 0), count(*), coalesce(sum(sequence & 0xFFFFFFFFFF), 0)
            FROM posting
        """
        counted: tuple[int, int, int] = self.connection.execute(query).get
        return Ledger(*counted)

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

    def insert(self, row: Row) -> None:
        """Store a row, whose label is free, and its tags."""
        columns = to_columns(row)
        marks = ", ".join("?" * len(columns))
        self.connection.execute(f"INSERT INTO posting ({COLUMNS}) VALUES ({marks})", columns)
        self.connection.executemany("INSERT INTO tag VALUES (?, ?)", [(tag, row.label) for tag in row.tags])

    def remove(self, row: Row) -> None:
        """Remove a row and its tags."""
        self.connection.execute("DELETE FROM posting WHERE label = ?", (row.label,))
        pairs = [(tag, row.label) for tag in row.tags]
        self.connection.executemany("DELETE FROM tag WHERE tag = ? AND label = ?", pairs)

    def remove_unread(self, labels: Collection[int]) -> None:
        """Remove rows that may be damaged: SQLite may miss such a one in its indexes, and it cannot tell its tags."""
        gone = apsw.carray(np.array(list(labels), dtype=np.int64))
        self.connection.execute("DROP INDEX posting_by_id; DROP INDEX posting_by_image")
        for table in ("posting", "tag"):
            self.connection.execute(f"DELETE FROM {table} WHERE label IN carray(?)", (gone,))
        self.connection.execute(INDEXES)

    def replace_tags(self, entries: Iterable[tuple[str, int]]) -> None:
        """Write all tags anew, in one transaction."""
        with self.connection:
            self.connection.execute("DELETE FROM tag")
            self.connection.executemany("INSERT INTO tag VALUES (?, ?)", entries)

    def reindex(self) -> None:
        """Build the indexes of the table anew from its rows."""
        self.connection.execute("REINDEX posting")

    def write_ledger(self, ledger: Ledger) -> None:
        """Record what the table holds; the last statement of a group."""
        self.connection.execute(
            "UPDATE ledger SET sequence = ?, postings = ?, sequence_sum = ?",
            (ledger.sequence, ledger.postings, ledger.sequence_sum),
        )

    def image_in_use(self, image_digest: bytes) -> bool:
        """Whether a posting still has this picture."""
        found = self.connection.execute("SELECT 1 FROM posting WHERE image_digest = ? LIMIT 1", (image_digest,)).get
        return found is not None

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

    def tag_entries(self) -> Iterator[tuple[bytes, int]]:
        """All (tag, label) as stored, as bytes: a damaged tag may be no text any more."""
        return iter(self.connection.execute("SELECT CAST(tag AS BLOB), label FROM tag"))
