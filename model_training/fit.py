"""Fit what the bundle decides with: fusion weights, and a decision for each set of shared views."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_training.decide import THRESHOLDS, fit_decision
from model_training.errors import UnusableCatalogue
from model_training.metrics import f1_mean, f1_mean_alone
from model_training.posting_vectors import PostingVectors
from model_training.ranking import Ranking, rank, sweep
from service.bundle.manifest import ViewSetDecision
from service.bundle.views import View, view_set_key

logger = logging.getLogger(__name__)

_SHARES = tuple(round(0.05 * step, 2) for step in range(1, 20))
Shares = Callable[[float], Mapping[View, float]]


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights per view, decisions by `view_set_key`, and the gallery size they were fitted at."""

    weights: Mapping[View, float]
    decisions: Mapping[str, ViewSetDecision]
    gallery_size: int


def fit(
    vectors: PostingVectors,
    groups: NDArray[np.int64],
    titles: Sequence[str | None],
    files: NDArray[np.int64],
    queries: NDArray[np.int64],
    *,
    seed: int,
) -> Fit:
    """
    Fit weights, thresholds and calibration on validation queries against the whole gallery.

    Postings that share the query's picture file are no answers: that they are found says nothing of a threshold.

    Args:
        vectors, titles: of the gallery: validation postings, and training postings as distractors.
        groups, files: (n,) product and picture file of each gallery row.
        queries: (m,) the validation rows.

    Raises:
        UnusableCatalogue: a view set has no validation query.
    """
    weights = _fit_weights(vectors, groups, files, queries)
    decisions = {}
    for views in vectors.view_sets():
        chosen = {view: weights[view] for view in views}
        ranking = rank_view_set(vectors, groups, titles, queries, chosen, left_out=files)
        decisions[view_set_key(views)] = fit_decision(ranking, seed=seed)
    return Fit(weights=weights, decisions=decisions, gallery_size=len(groups))


def rank_view_set(
    vectors: PostingVectors,
    groups: NDArray[np.int64],
    titles: Sequence[str | None] | None,
    queries: NDArray[np.int64],
    weights: Mapping[View, float],
    left_out: NDArray[np.int64] | None = None,
) -> Ranking:
    """
    Rank the queries that have every view of `weights` among the gallery rows that have them too.

    Args:
        titles: whose contradictions are noted, where the view set has titles; None notes none.
        left_out: see `rank`.
    """
    rows = vectors.having(frozenset(weights))
    asked = np.flatnonzero(np.isin(rows, queries))
    if not asked.size:
        raise UnusableCatalogue(
            f"expected validation postings with {view_set_key(weights)}, found none; train on a larger catalogue that "
            "has pictures and titles"
        )
    shared = [titles[row] for row in rows] if titles is not None and View.TITLE in weights else None
    keys = None if left_out is None else left_out[rows]
    return rank(vectors.fuse(rows, weights), groups[rows], asked, keys, shared)


def _fit_weights(
    vectors: PostingVectors, groups: NDArray[np.int64], files: NDArray[np.int64], queries: NDArray[np.int64]
) -> dict[View, float]:
    """First how much of the text is lexical, by titles alone; then how much the picture counts, by all views."""

    def best(shares: Shares) -> Mapping[View, float]:
        """The weights whose best `balanced` score is highest; of equals the most even."""
        found = {}
        for share in _SHARES:
            counts = sweep(rank_view_set(vectors, groups, None, queries, shares(share), files), THRESHOLDS)
            found[share] = float(((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0).max())
        chosen = max(found, key=lambda share: (round(found[share], 4), -abs(share - 0.5)))
        weights = shares(chosen)
        said = ", ".join(f"{view} {weight:.3f}" for view, weight in weights.items())
        logger.info("fusion weights: %s (balanced f1_mean %.4f)", said, found[chosen])
        return weights

    text = best(lambda share: {View.TITLE: 1 - share, View.LEXICAL: share})
    mixed = best(lambda share: {View.IMAGE: share, **{view: (1 - share) * weight for view, weight in text.items()}})
    return {view: round(weight, 6) for view, weight in mixed.items()}
