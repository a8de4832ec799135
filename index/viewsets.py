"""All view sets of FAISS behind one lock: flat while they are small, inverted files when they are large."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.flat import Asked, FlatSet, Nearest
from index.fusion import Fusion
from index.rwlock import ReadersWriterLock


class ViewSet(Protocol):
    """The postings of one view set: a `FlatSet` or an `IvfSet`."""

    fusion: Fusion

    def __len__(self) -> int: ...
    def __contains__(self, label: object) -> bool: ...
    def error(self, asked: Asked) -> float: ...
    def prepare(self, labels: Sequence[int], halves: NDArray[np.float16]) -> Callable[[], None]: ...
    def remove(self, labels: Sequence[int]) -> None: ...
    def nearest(
        self, asked: Asked, k: int, within: NDArray[np.int64] | None, without: NDArray[np.int64]
    ) -> Nearest: ...


@dataclass(frozen=True, slots=True)
class Placement:
    """What a committed write does to FAISS: the label's views and float16 values are now these; None removes it."""

    label: int
    views: bytes = b""
    vectors: bytes | None = None


class ViewSets:
    """Searches may come from any thread; `apply` from the writer thread alone; `exchange` from one other."""

    def __init__(self, dimensions: Mapping[str, int], weights: Mapping[str, float]) -> None:
        self._dimensions, self._weights = dimensions, weights
        self._sets: dict[bytes, ViewSet] = {}
        self._lock = ReadersWriterLock()
        self._changing = threading.Lock()  # held by whoever changes sets, from before he prepares until he is done
        self._touched: set[int] | None = None
        self.sequence = 0  # of the last write that is in the sets

    def fusion(self, views: bytes) -> Fusion:
        """The layout of a view set."""
        return Fusion(tuple(views.decode().split("+")), self._dimensions, self._weights)

    @contextmanager
    def reading(self) -> Iterator[Collection[ViewSet]]:
        """The view sets, still for as long as this is held: one view of all, so that no posting moves between two."""
        with self._lock.reading():
            yield self._sets.values()

    def current(self) -> Mapping[bytes, ViewSet]:
        """The view sets by name. Whoever is neither writer nor exchanger may look at their kinds and lengths."""
        return self._sets

    def apply(self, placements: Sequence[Placement], sequence: int) -> None:
        """
        Bring FAISS to where a group commit brought the database; a later placement of a label wins.

        Args:
            sequence: the number of the last write in the group.
        """
        final = {placement.label: placement for placement in placements}
        with self._changing:
            # Rounding, scaling, growing and finding lists happen outside the lock: inside it is only the copying.
            ready = [self._prepared(views, batch) for views, batch in by_views(final.values()).items()]
            with self._lock.writing():
                for stored in self._sets.values():
                    stored.remove(list(final))
                for put in ready:
                    put()
            if self._touched is not None:
                self._touched.update(final)
            self.sequence = sequence

    def counts(self, without: frozenset[int]) -> dict[str, int]:
        """Postings per stored view set, leaving out these labels and empty sets."""
        with self._lock.reading():
            served = {views: len(one) - sum(label in one for label in without) for views, one in self._sets.items()}
        return {views.decode(): count for views, count in sorted(served.items()) if count}

    def place(self, views: bytes, made: ViewSet) -> None:
        """Put a set in the place of whatever there is, before the index is open."""
        self._sets = {**self._sets, views: made}

    @contextmanager
    def exchange(self, views: bytes) -> Iterator["Exchange"]:
        """Note which labels change from here on, until another set has taken the place of this view set's."""
        with self._changing:
            self._touched = set()
        try:
            yield Exchange(self, views)
        finally:
            with self._changing:
                self._touched = None

    def _prepared(self, views: bytes, batch: Sequence[Placement]) -> Callable[[], None]:
        stored = self._sets.get(views)
        if stored is None:
            stored = FlatSet(self.fusion(views))
            self._sets = {**self._sets, views: stored}  # replaced, not changed: a search may be walking the old one
        return prepared(stored, batch)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A set that is about to take the place of another, while writes go on into that one."""

    sets: ViewSets
    views: bytes

    def catch_up(self, made: ViewSet, rows_of: Callable[[NDArray[np.int64]], Sequence[Placement]]) -> int:
        """
        Bring the new set to what was written since the last time; returns how many labels that were.

        Args:
            rows_of: placements of these labels as the database has them now, as far as they are there.
        """
        with self.sets._changing:
            touched = self._take()
        _bring(made, self.views, touched, rows_of)
        return len(touched)

    def swap(self, made: ViewSet, rows_of: Callable[[NDArray[np.int64]], Sequence[Placement]]) -> None:
        """The same for the last few, while the writer waits; then searches find the new set."""
        with self.sets._changing:
            _bring(made, self.views, self._take(), rows_of)
            with self.sets._lock.writing():
                self.sets._sets = {**self.sets._sets, self.views: made}

    def _take(self) -> list[int]:
        touched, self.sets._touched = self.sets._touched or set(), set()
        return sorted(touched)


def prepared(stored: ViewSet, batch: Sequence[Placement]) -> Callable[[], None]:
    """Make placements of one view set, all with vectors, ready for it."""
    blob = b"".join(placement.vectors or b"" for placement in batch)
    halves = np.frombuffer(blob, dtype="<f2").astype(np.float16, copy=False).reshape(len(batch), -1)
    return stored.prepare([placement.label for placement in batch], halves)


def by_views(placements: Collection[Placement]) -> dict[bytes, list[Placement]]:
    """Those that put something, per view set."""
    batches: dict[bytes, list[Placement]] = {}
    for placement in placements:
        if placement.vectors is not None:
            batches.setdefault(placement.views, []).append(placement)
    return batches


def _bring(
    made: ViewSet,
    views: bytes,
    labels: Sequence[int],
    rows_of: Callable[[NDArray[np.int64]], Sequence[Placement]],
) -> None:
    if labels:
        batch = by_views(rows_of(np.array(labels, dtype=np.int64))).get(views, [])
        made.remove(labels)
        if batch:
            prepared(made, batch)()
