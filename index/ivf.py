"""Nearest neighbours among many postings: lists around centroids, a byte per dimension, only near lists looked at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from index.flat import Asked, Nearest, float32_error, nearest_without
from index.fusion import Fusion

_LEVELS = 255
_SIGMAS = 6.0  # of the error of a score, the sum of many rounding errors
_RANGE = 1.001  # of the largest component that can be: float32 may round a little over it
_FILTERED = 4  # so many times the lists where a filter leaves some of the answers out
_ROOM = 1.25  # a list that grows past its memory takes twice as much
_ROWS_AT_ONCE = 2_048


class Probe(NamedTuple):
    """From this floor on, so many lists have to be looked at."""

    floor: float
    lists: int


Probes: TypeAlias = Mapping[str, Sequence[Probe]]  # by shared views, joined by `+`; by rising floor, the first at -1


class IvfSet:
    """
    The postings of one view set by FAISS's inverted file with 8-bit scalar quantisation.

    The range of a component follows from the weights alone, so no posting can lie outside. One thread changes it;
    `prepare` may run beside searches, everything else may not.
    """

    def __init__(self, fusion: Fusion, centroids: NDArray[np.float32], probes: Probes, trained_on: int) -> None:
        """
        An empty set.

        Args:
            centroids: (lists, dim) float32.
            probes: how many lists to look at; all, for shared views that are not in it.
            trained_on: how many postings there were.
        """
        self.fusion, self.centroids, self.probes, self.trained_on = fusion, centroids, probes, trained_on
        self.changes = 0  # put or removed since this was made, for whoever writes snapshots
        limits = fusion.limits() * np.float32(_RANGE)
        self._steps = 2 * limits / np.float32(_LEVELS)
        self._quantizer = faiss.IndexFlatIP(fusion.dimension)
        self._quantizer.add(centroids)
        self._index = faiss.IndexIVFScalarQuantizer(
            self._quantizer, fusion.dimension, len(centroids), faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT, False,
        )  # fmt: skip
        faiss.copy_array_to_vector(np.concatenate([-limits, 2 * limits]), self._index.sq.trained)
        self._index.is_trained = True
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)
        self._lists = faiss.downcast_InvertedLists(self._index.invlists)
        self._all = np.arange(len(centroids), dtype=np.int64)
        self._none = np.zeros(len(centroids), dtype=np.float32)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def __contains__(self, label: object) -> bool:
        try:
            self._index.direct_map.get(label)
        except RuntimeError:
            return False
        return True

    @property
    def lists(self) -> int:
        """How many there are."""
        return len(self.centroids)

    def error(self, asked: Asked) -> float:
        """
        How far a score of `nearest` may lie from the exact one.

        Each component is off by half a step at most. That all are, in the query's direction, does not happen where
        there are many: then six standard deviations of the sum bound it, each error being uniform in its step.
        """
        off = np.abs(asked.row[0]) * self._steps
        worst, likely = off.sum() / 2, _SIGMAS * np.sqrt(np.square(off).sum() / 12)
        return float(min(worst, likely)) + float32_error(self.fusion.dimension)

    def prepare(self, labels: Sequence[int], halves: NDArray[np.float16]) -> Callable[[], None]:
        """
        Fuse stored vectors (n, dim) and find their lists.

        Returns:
            What puts them in, none of the labels being here; to be called once.
        """
        rows = self.fusion.rows(halves)
        lists = nearest_centroids(rows, self.centroids)
        added = np.array(labels, dtype=np.int64)

        def put() -> None:
            faiss.omp_set_num_threads(1)
            pointers = (faiss.swig_ptr(array) for array in (rows, added, lists))
            self._index.add_core(len(added), *pointers)
            self.changes += len(added)

        return put

    def remove(self, labels: Sequence[int]) -> None:
        """Take out those of the labels that are here."""
        self.changes += int(self._index.remove_ids(np.array(labels, dtype=np.int64)))

    def nearest(self, asked: Asked, k: int, within: NDArray[np.int64] | None, without: NDArray[np.int64]) -> Nearest:
        """
        The best `k` in the lists that are looked at, fewer where there are fewer.

        Args:
            within: only these labels, and then in all lists; None for all.
            without: none of these labels.
        """
        fetch = min(k + len(without), len(self))
        scores, labels = np.empty(fetch, dtype=np.float32), np.empty(fetch, dtype=np.int64)
        if fetch:
            faiss.omp_set_num_threads(1)
            if within is None:
                parameters = faiss.SearchParametersIVF(nprobe=self.to_probe(asked))
                self._index.search(asked.row, fetch, params=parameters, D=scores[None], I=labels[None])
            else:
                self._scan(asked, fetch, within, scores, labels)
        return nearest_without(scores, labels, labels >= 0, without, k)

    def to_probe(self, asked: Asked) -> int:
        """How many lists to look at."""
        measured = self.probes.get("+".join(sorted(asked.shared)), ())
        lists = max((probe for probe in measured if probe.floor <= asked.floor), default=Probe(-1, self.lists)).lists
        return min(lists * _FILTERED if asked.filtered else lists, self.lists)

    def fill_list(self, number: int, labels: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
        """Put entries of a snapshot into an empty list, with room to grow; `mapped` has to follow the last one."""
        if len(labels):
            self._lists.resize(number, int(len(labels) * _ROOM) + 1)
            self._lists.resize(number, 0)
            self._lists.add_entries(number, len(labels), faiss.swig_ptr(labels), faiss.swig_ptr(codes))
            self._index.ntotal += len(labels)

    def mapped(self) -> "IvfSet":
        """This set, able to tell where a label is after lists were filled."""
        self._index.set_direct_map_type(faiss.DirectMap.NoMap)
        self._index.set_direct_map_type(faiss.DirectMap.Hashtable)
        return self

    def list_entries(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """A copy of one list: labels (n,) and codes (n, dim)."""
        size = self._lists.list_size(number)
        if not size:
            return np.empty(0, dtype=np.int64), np.empty((0, self.fusion.dimension), dtype=np.uint8)
        labels = faiss.rev_swig_ptr(self._lists.get_ids(number), size).copy()
        codes = faiss.rev_swig_ptr(self._lists.get_codes(number), size * self.fusion.dimension)
        return labels, codes.reshape(size, -1).copy()

    def _scan(
        self,
        asked: Asked,
        fetch: int,
        within: NDArray[np.int64],
        scores: NDArray[np.float32],
        labels: NDArray[np.int64],
    ) -> None:
        bits = np.zeros(int(within.max(initial=0)) // 8 + 1, dtype=np.uint8)
        np.bitwise_or.at(bits, within >> 3, np.left_shift(1, within & 7).astype(np.uint8))
        selected = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        parameters = faiss.SearchParametersIVF(nprobe=self.lists, sel=selected)
        # The scores of the lists count for nothing here, and so nobody computes them.
        arrays = (faiss.swig_ptr(array) for array in (self._all, self._none, scores, labels))
        self._index.search_preassigned_c(1, faiss.swig_ptr(asked.row), fetch, *arrays, False, parameters, None)


def nearest_centroids(rows: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.int64]:
    """The centroid (n,) with the largest inner product, per row; numpy multiplies several times faster than FAISS."""
    chosen = np.empty(len(rows), dtype=np.int64)
    for chunk in chunks(len(rows), _ROWS_AT_ONCE):
        chosen[chunk] = np.argmax(rows[chunk] @ centroids.T, axis=1)
    return chosen


def chunks(count: int, size: int) -> Iterable[slice]:
    """Slices of at most `size` that cover `count`."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
