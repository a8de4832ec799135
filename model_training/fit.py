"""Fit what the bundle decides with: fusion weights, and a decision for each set of shared views."""

import logging
from collections.abc import Mapping
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

VIEW_SETS = (frozenset({View.IMAGE}), frozenset({View.TITLE}), frozenset({View.IMAGE, View.TITLE}))
_IMAGE_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights per view, decisions by `view_set_key`, and the gallery size they were fitted at."""

    weights: Mapping[View, float]
    decisions: Mapping[str, ViewSetDecision]
    gallery_size: int


def fit(vectors: PostingVectors, groups: NDArray[np.int64], queries: NDArray[np.int64], *, seed: int) -> Fit:
    """
    Fit weights, thresholds and calibration on validation queries against the whole gallery.

    Args:
        vectors: of the gallery: validation postings, and training postings as distractors.
        groups: (n,) product of each gallery row.
        queries: (m,) the validation rows.

    Raises:
        UnusableCatalogue: a view set has no validation query.
    """
    weights = _fit_weights(vectors, groups, queries)
    decisions = {}
    for views in VIEW_SETS:
        ranking = rank_view_set(vectors, groups, queries, {view: weights[view] for view in views})
        decisions[view_set_key(views)] = fit_decision(ranking, seed=seed)
    return Fit(weights=weights, decisions=decisions, gallery_size=len(groups))


def rank_view_set(
    vectors: PostingVectors, groups: NDArray[np.int64], queries: NDArray[np.int64], weights: Mapping[View, float]
) -> Ranking:
    """Rank the queries that have every view of `weights` among the gallery rows that have them too."""
    rows = vectors.having(frozenset(weights))
    asked = np.flatnonzero(np.isin(rows, queries))
    if not asked.size:
        raise UnusableCatalogue(
            f"expected validation postings with {view_set_key(weights)}, found none; train on a larger catalogue that "
            "has pictures and titles"
        )
    return rank(vectors.fuse(rows, weights), groups[rows], asked)


def _fit_weights(vectors: PostingVectors, groups: NDArray[np.int64], queries: NDArray[np.int64]) -> dict[View, float]:
    """The weights whose best `balanced` score is highest; of equals the most even."""
    best = {}
    for share in _IMAGE_WEIGHTS:
        weights = {View.IMAGE: share, View.TITLE: round(1 - share, 2)}
        counts = sweep(rank_view_set(vectors, groups, queries, weights), THRESHOLDS)
        best[share] = float(((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0).max())
    share = max(best, key=lambda share: (round(best[share], 4), -abs(share - 0.5)))
    logger.info("fusion weights: image %.2f, title %.2f (balanced f1_mean %.4f)", share, 1 - share, best[share])
    return {View.IMAGE: share, View.TITLE: round(1 - share, 2)}
