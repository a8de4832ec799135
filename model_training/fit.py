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
    queries: NDArray[np.int64],
    *,
    seed: int,
) -> Fit:
    """
    Fit weights, thresholds and calibration on validation queries against the whole gallery.

    Args:
        vectors, titles: of the gallery: validation postings, and training postings as distractors.
        groups: (n,) product of each gallery row.
        queries: (m,) the validation rows.

    Raises:
        UnusableCatalogue: a view set has no validation query.
    """
    weights = _fit_weights(vectors, groups, queries)
    decisions = {}
    for views in vectors.view_sets():
        ranking = rank_view_set(vectors, groups, titles, queries, {view: weights[view] for view in views})
        decisions[view_set_key(views)] = fit_decision(ranking, seed=seed)
    return Fit(weights=weights, decisions=decisions, gallery_size=len(groups))


def rank_view_set(
    vectors: PostingVectors,
    groups: NDArray[np.int64],
    titles: Sequence[str | None] | None,
    queries: NDArray[np.int64],
    weights: Mapping[View, float],
) -> Ranking:
    """
    Rank the queries that have every view of `weights` among the gallery rows that have them too.

    Args:
        titles: whose contradictions are noted, where the view set has titles; None notes none.
    """
    rows = vectors.having(frozenset(weights))
    asked = np.flatnonzero(np.isin(rows, queries))
    if not asked.size:
        raise UnusableCatalogue(
            f"expected validation postings with {view_set_key(weights)}, found none; train on a larger catalogue that "
            "has pictures and titles"
        )
    shared = [titles[row] for row in rows] if titles is not None and View.TITLE in weights else None
    return rank(vectors.fuse(rows, weights), groups[rows], asked, titles=shared)


def _fit_weights(vectors: PostingVectors, groups: NDArray[np.int64], queries: NDArray[np.int64]) -> dict[View, float]:
    """First how much of the text is lexical, by titles alone; then how much the picture counts, by all views."""

    def best(shares: Shares) -> Mapping[View, float]:
        """The weights whose best `balanced` score is highest; of equals the most even."""
        found = {}
        for share in _SHARES:
            counts = sweep(rank_view_set(vectors, groups, None, queries, shares(share)), THRESHOLDS)
            found[share] = float(((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0).max())
        chosen = max(found, key=lambda share: (round(found[share], 4), -abs(share - 0.5)))
        weights = shares(chosen)
        said = ", ".join(f"{view} {weight:.3f}" for view, weight in weights.items())
        logger.info("fusion weights: %s (balanced f1_mean %.4f)", said, found[chosen])
        return weights

    text = best(lambda share: {View.TITLE: 1 - share, View.LEXICAL: share})
    mixed = best(lambda share: {View.IMAGE: share, **{view: (1 - share) * weight for view, weight in text.items()}})
    return {view: round(weight, 6) for view, weight in mixed.items()}
