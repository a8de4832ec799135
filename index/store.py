"""The truth: postings, their tags and the ledger in one SQLite database, written through one connection."""

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import numpy as np

from index.errors import EncoderMismatch
from index.rows import COLUMNS, Row, to_columns
from index.sqlite import open_database
from index.table import DATABASE, Binding, Ledger, Table

APPLICATION_ID = 0x4B4D4250  # "KMBP"
SCHEMA_VERSION = 1
INDEXES = """
CREATE UNIQUE INDEX posting_by_id ON posting (posting_id);
CREATE INDEX posting_by_image ON posting (image_digest) WHERE image_digest IS NOT NULL;
CREATE INDEX posting_by_views ON posting (views, sequence);
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


class Store(Table):
    """The writing connection. Not thread-safe: the writer thread alone uses it once the index is open."""

    def __init__(self, directory: Path) -> None:
        """Open or create the database; raises as `open_database`."""
        super().__init__(open_database(directory / DATABASE, APPLICATION_ID, SCHEMA_VERSION, SCHEMA))

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

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """What is written within stays in the group at its end, or goes alone; translates SQLite's errors."""
        # Not apsw's own: where SQLite gave up the whole transaction, that one hides why behind a missing savepoint.
        self.connection.execute("SAVEPOINT attempt")
        try:
            with self.faults():
                yield
        except BaseException:
            if self.in_transaction:
                self.connection.execute("ROLLBACK TO attempt; RELEASE attempt")
            raise
        self.connection.execute("RELEASE attempt")

    def commit(self) -> None:
        """Make the group durable."""
        self.connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Bring the log into the file, durably, and cut it to nothing; translates SQLite's errors."""
        with self.faults():
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def used_bytes(self) -> int:
        """The size of the file, without what is free inside."""
        pragma = self.connection.pragma
        return int((pragma("page_count") - pragma("freelist_count")) * pragma("page_size"))

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
        self.connection.execute("DROP INDEX posting_by_id; DROP INDEX posting_by_image; DROP INDEX posting_by_views")
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
