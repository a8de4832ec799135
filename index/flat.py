"""Exact nearest neighbours by FAISS: one matrix per view set of the stored postings, derived from the database."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from index.rwlock import ReadersWriterLock

_FIRST_CAPACITY = 64
_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Nearest:
    """FAISS's answer, best first: float32 scores, and the labels of the postings that have them."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


class FlatSet:
    """
    The postings of one view set: a growable (n, dim) float32 matrix of fused unit vectors, and their labels.

    Removing moves the last row into the gap, so rows stay dense and nothing is ever skipped in a search.
    One thread changes it; `reserve` may run beside searches, everything else may not.
    """

    def __init__(self, views: tuple[str, ...], dimensions: Mapping[str, int], weights: Mapping[str, float]) -> None:
        self.views, self._weights = views, weights
        ends = np.cumsum([dimensions[view] for view in views])
        self.dimension = int(ends[-1])
        self._slices = {
            view: slice(int(end) - dimensions[view], int(end)) for view, end in zip(views, ends, strict=True)
        }
        self._matrix = np.empty((_FIRST_CAPACITY, self.dimension), dtype=np.float32)
        self._labels = np.empty(_FIRST_CAPACITY, dtype=np.int64)
        self._position: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._position)

    def __contains__(self, label: object) -> bool:
        return label in self._position

    def fused_rows(self, halves: NDArray[np.float16]) -> NDArray[np.float32]:
        """Fuse stored vectors (n, dim): each view brought to length one, then weighted by the root of its weight."""
        rows = halves.astype(np.float32)
        for view, part in self._slices.items():
            squares = np.einsum("ij,ij->i", rows[:, part], rows[:, part], dtype=np.float64)
            rows[:, part] *= np.sqrt(self._weights[view] / squares).astype(np.float32)[:, None]
        return rows

    def fused_query(self, query: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """
        A query (1, dim) whose inner product with a fused row is the fused score over the views in `query`.

        Args:
            query: unit vectors of views that this set has; the others stay zero and count for nothing.
        """
        total = sum(self._weights[view] for view in query)
        row = np.zeros((1, self.dimension), dtype=np.float64)
        for view, unit in query.items():
            row[0, self._slices[view]] = unit * (np.sqrt(self._weights[view]) / total)
        return row.astype(np.float32)

    def reserve(self, extra: int) -> None:
        """Make room for `extra` rows. Searches go on in the old matrix until the new one takes its place."""
        used = len(self)
        if used + extra <= len(self._labels):
            return
        capacity = max(used + extra, int(len(self._labels) * _GROWTH))
        matrix = np.empty((capacity, self.dimension), dtype=np.float32)
        labels = np.empty(capacity, dtype=np.int64)
        matrix[:used], labels[:used] = self._matrix[:used], self._labels[:used]
        self._matrix, self._labels = matrix, labels

    def put(self, labels: Sequence[int], rows: NDArray[np.float32]) -> None:
        """Write fused rows (n, dim) for these labels, each new or already here; room was reserved."""
        positions = [self._position.setdefault(label, len(self._position)) for label in labels]
        self._matrix[positions] = rows
        self._labels[positions] = labels

    def remove(self, label: int) -> None:
        """Take a label out, if it is here."""
        gap = self._position.pop(label, None)
        if gap is None:
            return
        last = len(self._position)
        if gap != last:
            moved = int(self._labels[last])
            self._matrix[gap] = self._matrix[last]
            self._labels[gap] = moved
            self._position[moved] = gap

    def nearest(
        self, query: NDArray[np.float32], k: int, within: NDArray[np.int64] | None, without: NDArray[np.int64]
    ) -> Nearest:
        """
        The best `k` by inner product with a fused query (1, dim), fewer where there are fewer.

        Args:
            within: only these labels; None for all.
            without: none of these labels.
        """
        # Held here: `reserve` may put larger ones in their place meanwhile, and FAISS sees only an address.
        count, matrix, stored_labels = len(self), self._matrix, self._labels
        fetch = min(k + len(without), count)
        scores, positions = np.empty(fetch, dtype=np.float32), np.empty(fetch, dtype=np.int64)
        if fetch:
            bits = None if within is None else np.packbits(np.isin(stored_labels[:count], within), bitorder="little")
            # Per calling thread. Two cores on one query gain nothing, and cost twentyfold while one of them is busy.
            faiss.omp_set_num_threads(1)
            faiss.knn_inner_product(
                faiss.swig_ptr(query), faiss.swig_ptr(matrix), self.dimension, 1, count, fetch,
                faiss.swig_ptr(scores), faiss.swig_ptr(positions),
                None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)),
            )  # fmt: skip
        labels = stored_labels[positions]
        found = np.flatnonzero((positions >= 0) & ~np.isin(labels, without))[:k]
        return Nearest(scores[found], labels[found])


@dataclass(frozen=True, slots=True)
class Placement:
    """What a committed write does to FAISS: the label's views and float16 values are now these; None removes it."""

    label: int
    views: bytes = b""
    vectors: bytes | None = None


class FlatIndex:
    """All view sets behind one lock. Searches may come from any thread; `apply` from the writer thread alone."""

    def __init__(self, dimensions: Mapping[str, int], weights: Mapping[str, float]) -> None:
        self._dimensions, self._weights = dimensions, weights
        self._sets: dict[bytes, FlatSet] = {}
        self._lock = ReadersWriterLock()

    @contextmanager
    def reading(self) -> Iterator[Collection[FlatSet]]:
        """The view sets, still for as long as this is held: one view of all, so that no posting moves between two."""
        with self._lock.reading():
            yield self._sets.values()

    def apply(self, placements: Sequence[Placement]) -> None:
        """Bring FAISS to where a group commit brought the database; a later placement of a label wins."""
        final = {placement.label: placement for placement in placements}
        batches: dict[bytes, list[Placement]] = {}
        for placement in final.values():
            if placement.vectors is not None:
                batches.setdefault(placement.views, []).append(placement)
        # Rounding, scaling and growing happen outside the lock: inside it are only copies of finished rows.
        ready = [self._prepared(views, batch) for views, batch in batches.items()]
        with self._lock.writing():
            for flat in self._sets.values():
                for label in final:
                    flat.remove(label)
            for flat, labels, rows in ready:
                flat.put(labels, rows)

    def counts(self, without: frozenset[int]) -> dict[str, int]:
        """Postings per stored view set, leaving out these labels and empty sets."""
        with self._lock.reading():
            served = {views: len(flat) - sum(label in flat for label in without) for views, flat in self._sets.items()}
        return {views.decode(): count for views, count in sorted(served.items()) if count}

    def _prepared(self, views: bytes, batch: Sequence[Placement]) -> tuple[FlatSet, list[int], NDArray[np.float32]]:
        flat = self._sets.get(views)
        if flat is None:
            flat = FlatSet(tuple(views.decode().split("+")), self._dimensions, self._weights)
            self._sets = {**self._sets, views: flat}  # replaced, not changed: a search may be walking the old one
        blob = b"".join(placement.vectors or b"" for placement in batch)
        halves = np.frombuffer(blob, dtype="<f2").astype(np.float16, copy=False).reshape(len(batch), flat.dimension)
        flat.reserve(len(batch))
        return flat, [placement.label for placement in batch], flat.fused_rows(halves)
