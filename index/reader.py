"""Reading the database from many threads: a pool of read-only connections."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray

from index.errors import IndexClosed, UnknownPosting
from index.faults import sqlite_faults
from index.quarantine import Quarantine
from index.rows import Row
from index.sqlite import open_reader
from index.table import BY_ID, BY_LABELS, DATABASE


class Reader:
    """Point reads and listings of verified rows. Thread-safe; each call sees one committed state, the newest."""

    def __init__(self, directory: Path, quarantine: Quarantine) -> None:
        self._path, self._quarantine = directory / DATABASE, quarantine
        self._lock = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._closed = False

    def row(self, posting_id: bytes) -> Row:
        """The row of an id; raises UnknownPosting, CorruptRow."""
        with self._lease() as connection:
            columns = connection.execute(BY_ID, (posting_id,)).get
        if columns is None:
            raise UnknownPosting("no posting has this id")
        return self._quarantine.admit(columns, posting_id)

    def rows(self, labels: Sequence[int]) -> list[Row]:
        """The rows of these labels, in any order; a label without a sound row is left out."""
        if not labels:
            return []
        wanted = apsw.carray(np.array(labels, dtype=np.int64))
        with self._lease() as connection:
            found = connection.execute(BY_LABELS, (wanted,)).fetchall()
        return list(self._quarantine.sound(found))

    def listing(self, after: bytes, limit: int, tags: Collection[str]) -> list[tuple[bytes, int]]:
        """At most `limit` ids and labels that carry all `tags`, in order of id bytes, from the first after `after`."""
        where = " AND ".join(["posting_id > ?", *["label IN (SELECT label FROM tag WHERE tag = ?)"] * len(tags)])
        source = "posting INDEXED BY posting_by_id"  # ids as the index has them: a damaged row cannot stop the walk
        query = f"SELECT posting_id, label FROM {source} WHERE {where} ORDER BY posting_id LIMIT ?"
        with self._lease() as connection:
            return list(connection.execute(query, (after, *tags, limit)))

    def labels_of(self, posting_ids: Collection[bytes]) -> list[int]:
        """The labels of the ids that are there."""
        query = "SELECT label FROM posting WHERE posting_id = ?"
        with self._lease() as connection:
            found = (connection.execute(query, (posting_id,)).get for posting_id in posting_ids)
            return [label for label in found if label is not None]

    def labels_with(self, tags: Collection[str], most: int) -> NDArray[np.int64]:
        """The labels that carry all of these tags, but no more than so many; at least one tag."""
        counted = "SELECT count(*) FROM (SELECT 1 FROM tag WHERE tag = ? LIMIT ?)"
        also = "EXISTS (SELECT 1 FROM tag AS other WHERE other.tag = ? AND other.label = tag.label)"
        query = " AND ".join(["SELECT label FROM tag WHERE tag = ?", *[also] * (len(tags) - 1)]) + " LIMIT ?"
        with self._lease() as connection:
            if len(tags) > 1:  # the rarest first: each of its labels is looked up among the others'
                tags = sorted(tags, key=lambda tag: int(connection.execute(counted, (tag, most)).get))
            rows = connection.execute(query, (*tags, most)).fetchall()
        return np.array([label for (label,) in rows], dtype=np.int64)

    def labels_among(self, labels: NDArray[np.int64], tags: Collection[str]) -> NDArray[np.int64]:
        """Those of the labels that carry all of these tags."""
        query = "SELECT label FROM tag WHERE tag = ? AND label IN carray(?)"
        with self._lease() as connection:
            for tag in tags:
                if len(labels):
                    rows = connection.execute(query, (tag, apsw.carray(labels))).fetchall()
                    labels = np.array([label for (label,) in rows], dtype=np.int64)
        return labels

    def close(self) -> None:
        """Close the idle connections; one in use closes when its call ends."""
        with self._lock:
            self._closed = True
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _lease(self) -> Iterator[apsw.Connection]:
        with self._lock:
            if self._closed:
                raise IndexClosed("the index is closed")
            connection = self._idle.pop() if self._idle else open_reader(self._path)
        try:
            with sqlite_faults(connection, DATABASE):
                yield connection
        finally:
            self._give_back(connection)

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._lock:
            self._idle.append(connection)
            if self._closed:
                self._close_idle()
