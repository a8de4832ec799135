"""The tables of the report: every measure by group size, the threshold as the gallery grows, who gets an answer."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model_training.decide import THRESHOLDS
from model_training.metrics import Floats, average_precision, b_cubed, f1_mean, recall_at, reliability
from model_training.ranking import Ranking, sweep
from model_training.report.evidence import Evidence
from model_training.split import find_components
from service.bundle.manifest import Calibration
from service.bundle.views import Goal

SPANS = {"all": (1, 10**9), "1": (1, 1), "2": (2, 2), "3 to 5": (3, 5), "6 to 9": (6, 9), "10 and more": (10, 10**9)}
_DEPTHS = (1, 5, 20, 50)
_PRECISION_DEPTH, _CANDIDATES = 20, 10
_TIMES = (1, 2, 5, 10)
SIZE_HEADER = (
    *("views", "group of", "queries", "f1_mean", "precision", "recall"),
    *(f"recall@{depth}" for depth in _DEPTHS),
    *(f"mAP@{_PRECISION_DEPTH}", "B-cubed F1", "ECE", "Brier"),
)
GALLERY_HEADER = ("views", "postings", "learned", "best", "f1_mean", "best f1_mean", "share kept")


def by_group_size(evidence: Evidence) -> Iterator[Sequence[str]]:
    """Rows of SIZE_HEADER, at the `balanced` threshold; blank where a measure has no meaning."""
    for key, ranking in evidence.rankings.items():
        at_k = [*(recall_at(ranking, depth) for depth in _DEPTHS), average_precision(ranking, _PRECISION_DEPTH)]
        threshold, agreeing = evidence.threshold(key, Goal.BALANCED), ranking.agreeing().first()
        counts, clusters = sweep(agreeing, np.array([threshold])), _cluster(evidence, key, agreeing, threshold)
        said, right, weight = candidates(evidence, key)
        for name, (low, high) in SPANS.items():
            own = (ranking.truth + 1 >= low) & (ranking.truth + 1 <= high)
            if not own.any():
                continue
            hits, answers = counts.hits[own].sum(), counts.answers[own].sum()
            measures = [
                f1_mean(counts)[own].mean(),
                hits / answers if answers else np.nan,
                hits / ranking.truth[own].sum() if ranking.truth[own].any() else np.nan,
                *(_mean(values[own]) for values in at_k),
                2 / sum(1 / values[own].mean() for values in clusters),
                *reliability(said[own], right[own], weight[own])[1:],
            ]
            yield [key, name, f"{own.sum():,}", *("" if np.isnan(value) else f"{value:.3f}" for value in measures)]


def _cluster(evidence: Evidence, key: str, answered: Ranking, threshold: float) -> tuple[Floats, Floats]:
    """B-cubed precision and recall of each query in the clusters that all answers together join."""
    asked, present = evidence.asked(key), evidence.present[key]
    joined = {
        row: rows[scores >= threshold - 1e-9].tolist()
        for row, rows, scores in zip(asked.tolist(), answered.rows, answered.scores, strict=True)
    }
    clusters = find_components((row, *joined.get(row, ())) for row in present.tolist())
    return b_cubed(clusters, evidence.material.catalogue.groups[present], np.searchsorted(present, asked))


def _mean(values: Floats) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else np.nan


def candidates(evidence: Evidence, key: str) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """
    Of the ten nearest candidates of each query the probability said, whether it is right, and its weight.

    A right candidate is met by one of a query's two versions, a wrong one by both (see `decide`); nothing weighs 0.
    """
    decision, nearest = evidence.bundle.manifest.decisions[key], evidence.rankings[key].nearest(_CANDIDATES)
    said = _probability(nearest.scores, decision.calibration)
    if decision.conflict_calibration is not None:
        said = np.where(nearest.conflict, _probability(nearest.scores, decision.conflict_calibration), said)
    return said, nearest.right, np.where(nearest.right, 1.0, 2.0) * np.isfinite(nearest.scores)


def _probability(scores: NDArray[np.float32], fitted: Calibration) -> Floats:
    return np.asarray(np.interp(scores, fitted.scores, fitted.probabilities))


def by_gallery(evidence: Evidence) -> Iterator[tuple[str, int, float, float, float, float, float]]:
    """Rows of GALLERY_HEADER, `balanced`, from a tenth of the strangers, drawn by lot, to all; the right ones stay."""
    for key, ranking in evidence.rankings.items():
        for times in _TIMES:
            share = times / max(_TIMES)
            threshold = evidence.threshold(key, Goal.BALANCED, share)
            thinned = ranking.thinned(share, 0).agreeing().first()
            f1s = f1_mean(sweep(thinned, THRESHOLDS)).mean(0)
            learned = float(f1_mean(sweep(thinned, np.array([threshold]))).mean())
            postings, best = round(share * len(evidence.material.catalogue)), float(THRESHOLDS[f1s.argmax()])
            yield key, postings, threshold, best, learned, float(f1s.max()), learned / float(f1s.max())


def answered_alone(evidence: Evidence) -> Iterator[Sequence[str]]:
    """By view set and goal, how many get an answer: the queries that stand alone, and all if they stood alone."""
    for key, ranking in evidence.rankings.items():
        alone = ranking.truth == 0
        for name, own in (("stand alone", alone), ("as if alone", np.ones_like(alone))):
            shares = []
            for goal in Goal:
                seen = ranking.first() if goal is Goal.RECALL_90 else ranking.agreeing().first()
                answers = sweep(seen, np.array([evidence.threshold(key, goal)])).alone[own] > 0
                shares.append(f"{answers.mean():.1%}" if own.any() else "")
            yield [key, name, f"{own.sum():,}", *shares]
