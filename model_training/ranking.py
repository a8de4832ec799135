"""Queries against a gallery: who is nearest, who is right, and what each threshold would answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import faiss
import numpy as np
from numpy.typing import NDArray

from service.bundle.variants import contradictions, read_variants

_DEEPER = 4
ANSWERS = 50
"""At most so many answers, the query itself among them (EVALUATION.md section 1)."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """
    The nearest other postings of each query, falling by score.

    `rows` (n, k) int64 of the gallery; `scores` (n, k) float32, cosine or fused, -inf where the gallery ran out.
    `right` (n, k) bool, same product.
    `conflict` (n, k) bool: the two titles contradict each other. `truth` (n,) int64: how many other postings of the
    product the gallery holds. `groups` (n,): the query's product.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    conflict: NDArray[np.bool_]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]

    def agreeing(self) -> "Ranking":
        """The same without those that contradict, as the goals that reject them see it; falling by score still."""
        order = np.argsort(self.conflict, axis=1, kind="stable")
        conflict = np.take_along_axis(self.conflict, order, 1)
        return replace(
            self,
            rows=np.take_along_axis(self.rows, order, 1),
            scores=np.where(conflict, np.float32(-np.inf), np.take_along_axis(self.scores, order, 1)),
            right=np.take_along_axis(self.right, order, 1) & ~conflict,
            conflict=np.zeros_like(conflict),
        )

    def thinned(self, share: float, seed: int) -> "Ranking":
        """As if only this share of the strangers stood in the gallery, drawn by lot; products stay whole."""
        stays = np.random.default_rng(seed).random(int(self.rows.max()) + 1) < share
        gone = ~(self.right | stays[self.rows])
        thinned = replace(self, conflict=gone).agreeing()
        order = np.argsort(gone, axis=1, kind="stable")
        return replace(thinned, conflict=np.take_along_axis(self.conflict & ~gone, order, 1))

    def numbered(self, numbers: NDArray[np.int64]) -> "Ranking":
        """The same, each gallery row named by its number in `numbers`."""
        return replace(self, rows=numbers[self.rows])

    def first(self) -> "Ranking":
        """As many as an answer may hold."""
        return self.nearest(ANSWERS - 1)

    def nearest(self, count: int) -> "Ranking":
        """Only the nearest `count` of each query."""
        width = slice(count)
        return replace(
            self,
            rows=self.rows[:, width],
            scores=self.scores[:, width],
            right=self.right[:, width],
            conflict=self.conflict[:, width],
        )


@dataclass(frozen=True, slots=True)
class Sweep:
    """
    What each query gets at each threshold, the query itself left out; both (n, thresholds) int64.

    `answers` counts what is answered, `hits` what of it is right. `alone` counts what would be answered, all of it
    wrong, if the query's product had no other posting: the same query as a singleton.
    """

    thresholds: NDArray[np.float64]
    answers: NDArray[np.int64]
    hits: NDArray[np.int64]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def alone(self) -> NDArray[np.int64]:
        """(n, thresholds): the wrong answers."""
        return self.answers - self.hits


def rank(
    vectors: NDArray[np.float32],
    groups: NDArray[np.int64],
    queries: NDArray[np.int64],
    left_out: NDArray[np.int64] | None = None,
    titles: Sequence[str | None] | None = None,
) -> Ranking:
    """
    Search each query among all the rows, exactly; with titles four times as deep as an answer goes, so that enough is
    left where contradicting ones are taken out.

    Args:
        vectors: (m, d) float32, unit rows (fused: see `fuse_vectors`): the gallery.
        groups: (m,) the product of each row.
        queries: (n,) row numbers; a query is never its own answer.
        left_out: (m,) a key a row; rows with the query's key are no answers and no truth (shared pictures, say).
        titles: (m,) whose contradictions are noted; None notes none.
    """
    wanted = (ANSWERS - 1) * (1 if titles is None else _DEEPER)
    keys = np.arange(len(vectors)) if left_out is None else left_out
    most = int(np.bincount(np.unique(keys, return_inverse=True)[1]).max())
    depth = min(len(vectors), wanted + most)
    scores, rows = faiss.knn(vectors[queries], vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    forbidden = keys[rows] == keys[queries][:, None]
    order = np.argsort(forbidden, axis=1, kind="stable")[:, :wanted]  # the allowed first, still falling by score
    rows, scores = np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1)
    allowed = keys[rows] != keys[queries][:, None]
    same_key_in_group = _count_pairs(groups, keys, queries)
    return Ranking(
        rows=rows,
        scores=np.where(allowed, scores.clip(-1, 1), -np.inf).astype(np.float32),
        right=(groups[rows] == groups[queries][:, None]) & allowed,
        conflict=np.zeros(rows.shape, dtype=np.bool_) if titles is None else _conflicts(titles, queries, rows),
        truth=np.bincount(groups, minlength=groups.max() + 1)[groups[queries]] - same_key_in_group,
        groups=groups[queries],
    )


def _conflicts(titles: Sequence[str | None], queries: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    read = [{} if title is None else read_variants(title) for title in titles]
    found = [
        [bool(contradictions(read[query], read[row])) for row in found]
        for query, found in zip(queries, rows, strict=True)
    ]
    return np.array(found, dtype=np.bool_).reshape(rows.shape)


def _count_pairs(groups: NDArray[np.int64], keys: NDArray[np.int64], queries: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each query, the rows with its group and its key, itself included."""
    pairs = np.stack([groups, np.unique(keys, return_inverse=True)[1]], axis=1)
    _, number, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(counts[number.reshape(-1)][queries], dtype=np.int64)


def sweep(ranking: Ranking, thresholds: NDArray[np.float64]) -> Sweep:
    """Count answers and hits at each threshold (rising)."""
    hits_at = np.cumsum(np.pad(ranking.right, ((0, 0), (1, 0))), axis=1, dtype=np.int64)
    falling = -ranking.scores
    answers = np.stack([np.searchsorted(row, -thresholds + 1e-9, side="right") for row in falling]).astype(np.int64)
    return Sweep(
        thresholds=thresholds,
        answers=answers,
        hits=np.take_along_axis(hits_at, answers, axis=1),
        truth=ranking.truth,
        groups=ranking.groups,
    )
