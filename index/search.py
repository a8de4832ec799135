"""From a query to the postings nearest to it: FAISS proposes, the stored rows decide."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.flat import Asked
from index.postings import Hit, Posting
from index.quarantine import Quarantine
from index.reader import Reader
from index.rows import tags_of, to_posting
from index.scoring import cosine, fuse, unit_float64
from index.viewsets import ViewSet, ViewSets

_SPARE = 32  # asked of FAISS beyond `k`, so that near ties at the end seldom need a second search
_ATTEMPTS = 5
_NARROW = 0.05  # a filter that keeps such a share of the postings, or fewer, is answered from them alone
_FEW = 20_000  # or so many: they are read in 4 ms

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
class Filter:
    """
    The labels that a filter keeps, where they are few enough to look at each; else they are asked for one by one.

    `labels` is None for a wide filter, and for none: then `tags` is empty.
    """

    tags: frozenset[str]
    labels: NDArray[np.int64] | None

    @property
    def is_wide(self) -> bool:
        """Whether some of FAISS's answers have to be left out."""
        return bool(self.tags) and self.labels is None


@dataclass(frozen=True, slots=True)
class Searcher:
    """Answers as brute force over the stored rows would, ties included, but for what FAISS misses. Thread-safe."""

    sets: ViewSets
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
        kept = self._filter(question.tags)
        excluded = self.reader.labels_of(question.exclude) if question.exclude else []
        without = np.array([*excluded, *self.quarantine.labels()], dtype=np.int64)
        proposed: dict[int, Proposal] = {}
        with self.sets.reading() as sets:
            for stored in sets:
                shared = {view: unit for view, unit in units.items() if view in stored.fusion.views}
                if shared:
                    proposed |= self._contenders(stored, shared, question, kept, without)
        hits = []
        as_proposed = 0
        for row in self.reader.rows(list(proposed)):
            posting = to_posting(row, self.dimensions)
            if _wanted(posting, question):
                hits.append(self._scored(posting, units))
                as_proposed += abs(hits[-1].score - proposed[row.label].score) <= proposed[row.label].error
        return _ranked(hits, question), as_proposed == len(proposed)

    def _filter(self, tags: frozenset[str]) -> Filter:
        if not tags:
            return Filter(tags, None)
        stored = sum(map(len, self.sets.current().values()))
        most = max(_FEW, int(stored * _NARROW))
        labels = self.reader.labels_with(tags, most + 1)
        return Filter(tags, labels if len(labels) <= most else None)

    def _contenders(
        self,
        stored: ViewSet,
        shared: Mapping[str, NDArray[np.float64]],
        question: Question,
        kept: Filter,
        without: NDArray[np.int64],
    ) -> "dict[int, Proposal]":
        """
        All postings of one view set that can be in the answer: their labels and FAISS's scores.

        The answer holds at most `k`, and at most one below the floor. So of FAISS's list only a head counts, and what
        could belong to it: everything within twice FAISS's error of its last score. Asks for more while the list ends
        before that.
        """
        floor = question.floors(frozenset(shared))
        asked = Asked(stored.fusion.query(shared), frozenset(shared), floor, kept.is_wide)
        error = stored.error(asked)
        fetch = question.k + _SPARE
        while True:
            nearest = stored.nearest(asked, fetch, kept.labels, without)
            is_all = len(nearest.scores) < fetch
            lowest = nearest.scores[-1] if len(nearest.scores) else -np.inf
            if kept.is_wide:
                nearest = nearest.only(self.reader.labels_among(nearest.labels, kept.tags))
            scores = nearest.scores
            head = min(question.k, int((scores >= floor - error).sum()) + 1, len(scores))
            cut = scores[head - 1] - 2 * error if head else -np.inf
            if is_all or lowest < cut:
                near = scores >= cut
                labels = nearest.labels[near].tolist()
                return {label: Proposal(float(score), error) for label, score in zip(labels, scores[near], strict=True)}
            fetch *= 4

    def _scored(self, posting: Posting, units: Mapping[str, NDArray[np.float64]]) -> Hit:
        scores = {view: cosine(posting.vectors[view], unit) for view, unit in units.items() if view in posting.vectors}
        return Hit(posting, scores, fuse(scores, self.weights))


class Proposal(NamedTuple):
    """FAISS's score of a posting, and how far it may lie from the exact one."""

    score: float
    error: float


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
