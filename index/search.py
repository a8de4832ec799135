"""From a query to the postings nearest to it: FAISS proposes, the stored rows decide."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from index.flat import FlatIndex, FlatSet
from index.postings import Hit, Posting
from index.quarantine import Quarantine
from index.reader import Reader
from index.rows import tags_of, to_posting
from index.scoring import cosine, fuse, unit_float64

_SPARE = 32  # asked of FAISS beyond `k`, so that near ties at the end seldom need a second search
_ATTEMPTS = 5
_ROUNDING = 2e-6  # of the cosines and of their fusion, with room
_FLOAT32_LOSS = 2.0**-23  # per dimension, the worst that products of unit vectors and their sum can lose

Floors = Callable[[frozenset[str]], float]


@dataclass(frozen=True, slots=True)
class Question:
    """A checked query. `query` holds float16 vectors per view; `tags` is the filter, `exclude` ids as bytes."""

    query: Mapping[str, NDArray[np.float16]]
    k: int
    floors: Floors
    tags: frozenset[str]
    exclude: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Searcher:
    """Answers as brute force over the stored rows would, ties included. Thread-safe."""

    flat: FlatIndex
    reader: Reader
    quarantine: Quarantine
    dimensions: Mapping[str, int]
    weights: Mapping[str, float]

    def search(self, question: Question) -> list[Hit]:
        """
        Per set of shared views the best `k`, cut after the first below its floor.

        A row may be replaced, removed or found damaged between FAISS's answer and its reading: then the place it took
        is free, and the search is made again.
        """
        for _ in range(_ATTEMPTS):
            hits, settled = self._look(question)
            if settled:
                break
        return hits

    def _look(self, question: Question) -> tuple[list[Hit], bool]:
        units = {view: unit_float64(half) for view, half in question.query.items()}
        within = self.reader.labels_with(question.tags) if question.tags else None
        excluded = self.reader.labels_of(question.exclude) if question.exclude else []
        without = np.array([*excluded, *self.quarantine.labels()], dtype=np.int64)
        proposed: dict[int, float] = {}
        with self.flat.reading() as sets:
            for flat in sets:
                shared = {view: unit for view, unit in units.items() if view in flat.views}
                if shared:
                    proposed |= _contenders(flat, shared, question, within, without)
        hits = []
        as_proposed = 0
        for row in self.reader.rows(list(proposed)):
            posting = to_posting(row, self.dimensions)
            if _wanted(posting, question):
                hits.append(self._scored(posting, units))
                as_proposed += abs(hits[-1].score - proposed[row.label]) <= _error(len(row.content.vectors) // 2)
        return _ranked(hits, question), as_proposed == len(proposed)

    def _scored(self, posting: Posting, units: Mapping[str, NDArray[np.float64]]) -> Hit:
        scores = {view: cosine(posting.vectors[view], unit) for view, unit in units.items() if view in posting.vectors}
        return Hit(posting, scores, fuse(scores, self.weights))


def _contenders(
    flat: FlatSet,
    shared: Mapping[str, NDArray[np.float64]],
    question: Question,
    within: NDArray[np.int64] | None,
    without: NDArray[np.int64],
) -> dict[int, float]:
    """
    All postings of one view set that can be in the answer: their labels and FAISS's scores.

    The answer holds at most `k`, and at most one below the floor. So of FAISS's list only a head counts, and what
    could belong to it: everything within twice FAISS's error of its last score. Asks for more while the list ends
    before that.
    """
    floor = question.floors(frozenset(shared))
    error = _error(flat.dimension)
    row = flat.fused_query(shared)
    fetch = question.k + _SPARE
    while True:
        nearest = flat.nearest(row, fetch, within, without)
        scores = nearest.scores
        head = min(question.k, int((scores >= floor - error).sum()) + 1, len(scores))
        if not head:
            return {}
        cut = scores[head - 1] - 2 * error
        if len(scores) < fetch or scores[-1] < cut:
            near = scores >= cut
            return dict(zip(nearest.labels[near].tolist(), scores[near].tolist(), strict=True))
        fetch *= 4


def _error(dimension: int) -> float:
    """How far FAISS's float32 score may lie from the exact one, which is made of rounded parts."""
    return _ROUNDING + dimension * _FLOAT32_LOSS


def _wanted(posting: Posting, question: Question) -> bool:
    if posting.posting_id.encode() in question.exclude:
        return False
    return not question.tags or question.tags <= tags_of(posting.metadata)


def _ranked(hits: list[Hit], question: Question) -> list[Hit]:
    """Best first within each set of shared views, ties in order of id bytes; cut after the first below its floor."""
    hits.sort(key=lambda hit: (_shared(hit), -hit.score, hit.posting.posting_id.encode()))
    ranked: list[Hit] = []
    for shared, group in groupby(hits, key=_shared):
        best, floor = list(islice(group, question.k)), question.floors(frozenset(shared))
        ranked += best[: sum(hit.score >= floor for hit in best) + 1]
    return ranked


def _shared(hit: Hit) -> tuple[str, ...]:
    return tuple(hit.scores)
