"""Exact nearest neighbours by FAISS: a matrix of the postings of one view set, derived from the database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from index.fusion import Fusion

_FIRST_CAPACITY = 64
_GROWTH = 1.5
_ROUNDING = 2e-6  # of the cosines and of their fusion, with room
_FLOAT32_LOSS = 2.0**-23  # per dimension, the worst that products of unit vectors and their sum can lose


@dataclass(frozen=True, slots=True)
class Nearest:
    """FAISS's answer, best first: float32 scores, and the labels of the postings that have them."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def only(self, labels: NDArray[np.int64]) -> "Nearest":
        """Those of these labels."""
        kept = np.isin(self.labels, labels)
        return Nearest(self.scores[kept], self.labels[kept])


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A query of one view set: `row` (1, dim) as `Fusion.query` gives it, for the views in `shared`.

    Scores from `floor` on matter. `filtered` tells that only some of the answers will be taken.
    """

    row: NDArray[np.float32]
    shared: frozenset[str]
    floor: float
    filtered: bool = False


def float32_error(dimension: int) -> float:
    """How far a score in float32 may lie from the exact one, which is made of rounded parts."""
    return _ROUNDING + dimension * _FLOAT32_LOSS


class FlatSet:
    """
    The postings of one view set: a growable (n, dim) float32 matrix of fused unit vectors, and their labels.

    Removing moves the last row into the gap, so rows stay dense and nothing is ever skipped in a search.
    One thread changes it; `prepare` may run beside searches, everything else may not.
    """

    def __init__(self, fusion: Fusion) -> None:
        self.fusion = fusion
        self._matrix = np.empty((_FIRST_CAPACITY, fusion.dimension), dtype=np.float32)
        self._labels = np.empty(_FIRST_CAPACITY, dtype=np.int64)
        self._position: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._position)

    def __contains__(self, label: object) -> bool:
        return label in self._position

    def error(self, asked: Asked) -> float:
        """How far a score of `nearest` may lie from the exact one."""
        return float32_error(self.fusion.dimension)

    def prepare(self, labels: Sequence[int], halves: NDArray[np.float16]) -> Callable[[], None]:
        """
        Fuse stored vectors (n, dim) and make room for them.

        Returns:
            What puts them in, each label new or already here; to be called once, before anything else is prepared.
        """
        rows = self.fusion.rows(halves)
        self._reserve(len(labels))

        def put() -> None:
            positions = [self._position.setdefault(label, len(self._position)) for label in labels]
            self._matrix[positions] = rows
            self._labels[positions] = labels

        return put

    def _reserve(self, extra: int) -> None:
        """Make room for `extra` rows. Searches go on in the old matrix until the new one takes its place."""
        used = len(self)
        if used + extra <= len(self._labels):
            return
        capacity = max(used + extra, int(len(self._labels) * _GROWTH))
        matrix = np.empty((capacity, self.fusion.dimension), dtype=np.float32)
        labels = np.empty(capacity, dtype=np.int64)
        matrix[:used], labels[:used] = self._matrix[:used], self._labels[:used]
        self._matrix, self._labels = matrix, labels

    def remove(self, labels: Sequence[int]) -> None:
        """Take out those of the labels that are here."""
        for label in labels:
            gap = self._position.pop(label, None)
            if gap is None:
                continue
            last = len(self._position)
            if gap != last:
                moved = int(self._labels[last])
                self._matrix[gap] = self._matrix[last]
                self._labels[gap] = moved
                self._position[moved] = gap

    def nearest(self, asked: Asked, k: int, within: NDArray[np.int64] | None, without: NDArray[np.int64]) -> Nearest:
        """
        The best `k`, fewer where there are fewer.

        Args:
            within: only these labels; None for all.
            without: none of these labels.
        """
        # Held here: `prepare` may put larger ones in their place meanwhile, and FAISS sees only an address.
        count, matrix, stored_labels = len(self), self._matrix, self._labels
        fetch = min(k + len(without), count)
        scores, positions = np.empty(fetch, dtype=np.float32), np.empty(fetch, dtype=np.int64)
        if fetch:
            bits = None if within is None else np.packbits(np.isin(stored_labels[:count], within), bitorder="little")
            # Per calling thread. Two cores on one query gain nothing, and cost twentyfold while one of them is busy.
            faiss.omp_set_num_threads(1)
            faiss.knn_inner_product(
                faiss.swig_ptr(asked.row), faiss.swig_ptr(matrix), self.fusion.dimension, 1, count, fetch,
                faiss.swig_ptr(scores), faiss.swig_ptr(positions),
                None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)),
            )  # fmt: skip
        return nearest_without(scores, stored_labels[positions], positions >= 0, without, k)


def nearest_without(
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    there: NDArray[np.bool_],
    without: NDArray[np.int64],
    k: int,
) -> Nearest:
    """The first `k` of FAISS's list that are `there` and not to be left out."""
    found = np.flatnonzero(there & ~np.isin(labels, without))[:k]
    return Nearest(scores[found], labels[found])
