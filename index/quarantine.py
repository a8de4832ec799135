"""Damaged rows: found once, logged once, never served."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress

from index.errors import CorruptRow
from index.rows import Columns, Row, from_columns

logger = logging.getLogger(__name__)


class Quarantine:
    """
    The labels of rows that did not match their checksum. Thread-safe.

    A damaged row that is put again gets a new label, so a label never has to come back out of here to be served.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._labels: frozenset[int] = frozenset()

    def labels(self) -> frozenset[int]:
        """The damaged rows found so far and not removed since."""
        return self._labels

    def admit(self, columns: Columns, posting_id: bytes | None = None) -> Row:
        """Verify a row that was read, by its id or otherwise; a damaged one is noted, and raises CorruptRow."""
        try:
            return from_columns(columns, posting_id)
        except CorruptRow:
            self._hold(int(columns[0] or 0))
            raise

    def sound(self, rows: Iterable[Columns]) -> Iterator[Row]:
        """Those of the rows that are as they were written; the others are noted."""
        for columns in rows:
            with suppress(CorruptRow):
                yield self.admit(columns)

    def release(self, labels: Iterable[int]) -> None:
        """Forget rows that were removed."""
        with self._lock:
            self._labels -= frozenset(labels)

    def _hold(self, label: int) -> None:
        with self._lock:
            if label in self._labels:
                return
            self._labels |= {label}
        logger.error("a stored row is damaged and is not served", extra={"label": label})
