"""The four F1s of EVALUATION.md section 1, and what else is read off a sweep."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_training.ranking import Ranking, Sweep

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class F1s:
    """Never compare one with another: `mean` and `harmonic` count the query itself, `others` and `pairs` do not."""

    mean: float
    others: float
    harmonic: float
    pairs: float


def f1_mean(counts: Sweep) -> Floats:
    """(n, thresholds): F1 of each query, itself counted among truth and answers (Kaggle Shopee)."""
    return np.asarray(2 * (counts.hits + 1) / (counts.answers + 1 + counts.truth[:, None] + 1))


def f1_mean_alone(counts: Sweep) -> Floats:
    """(n, thresholds): the same for the query as a singleton: itself right, every other answer wrong."""
    return np.asarray(2 / (counts.alone + 2))


def f1_mean_others(counts: Sweep) -> Floats:
    """(n, thresholds): F1 of each query, itself left out; nothing answered where nothing is right counts 1."""
    wanted = counts.answers + counts.truth[:, None]
    return np.asarray(np.divide(2.0 * counts.hits, wanted, out=np.ones(wanted.shape), where=wanted > 0))


def f1_harmonic(counts: Sweep) -> Floats:
    """(thresholds,): harmonic mean of mean precision and mean recall, the query counted (the paper)."""
    precision = ((counts.hits + 1) / (counts.answers + 1)).mean(0)
    recall = ((counts.hits + 1) / (counts.truth[:, None] + 1)).mean(0)
    return np.asarray(2 * precision * recall / (precision + recall))


def f1_pairs(counts: Sweep) -> Floats:
    """(thresholds,): F1 over all unordered pairs, each counted from both its ends."""
    wanted = counts.answers.sum(0) + counts.truth.sum()
    return np.asarray(np.divide(2.0 * counts.hits.sum(0), wanted, out=np.ones(wanted.shape), where=wanted > 0))


def f1s_at(counts: Sweep, column: int) -> F1s:
    """All four at one threshold of the sweep."""
    return F1s(
        mean=float(f1_mean(counts)[:, column].mean()),
        others=float(f1_mean_others(counts)[:, column].mean()),
        harmonic=float(f1_harmonic(counts)[column]),
        pairs=float(f1_pairs(counts)[column]),
    )


def query_only(truth: NDArray[np.int64]) -> F1s:
    """The four F1s of answering nothing but the query itself; print it in each table."""
    counts = Sweep(
        thresholds=np.zeros(1),
        answers=np.zeros((len(truth), 1), dtype=np.int64),
        hits=np.zeros((len(truth), 1), dtype=np.int64),
        truth=truth,
        groups=np.zeros_like(truth),
    )
    return f1s_at(counts, 0)


def recall_at_1(ranking: Ranking) -> float:
    """Share of the queries with a right answer in the gallery whose nearest other posting is right."""
    answerable = ranking.truth > 0
    return float(ranking.right[answerable, 0].mean()) if answerable.any() else float("nan")


def recall_at(ranking: Ranking, depth: int) -> Floats:
    """(n,): what each query finds among its nearest `depth`, of all that it could find there; NaN without a match."""
    found, most = ranking.right[:, :depth].sum(1), np.minimum(depth, ranking.truth)
    return np.asarray(np.divide(found, most, out=np.full(len(most), np.nan), where=most > 0))


def average_precision(ranking: Ranking, depth: int) -> Floats:
    """(n,): mean precision down to each right answer among the nearest `depth`, the missing ones 0; NaN likewise."""
    right, most = ranking.right[:, :depth], np.minimum(depth, ranking.truth)
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return np.asarray(np.divide((precision * right).sum(1), most, out=np.full(len(most), np.nan), where=most > 0))


def b_cubed(clusters: NDArray[np.int64], groups: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """
    Precision and recall of a clustering, row by row (Bagga and Baldwin 1998).

    Args:
        clusters, groups: (m,) of every posting; rows: (n,) the postings that count.

    Returns:
        (n,) share of the row's cluster that is of its product, (n,) share of its product that is in its cluster.
    """
    _, number, counts = np.unique(np.stack([clusters, groups]), axis=1, return_inverse=True, return_counts=True)
    together = counts[number.reshape(-1)]
    precision, recall = together / np.bincount(clusters)[clusters], together / np.bincount(groups)[groups]
    return np.asarray(precision[rows]), np.asarray(recall[rows])


def reliability(
    said: Floats, right: NDArray[np.bool_], weight: Floats, bins: int = 15
) -> tuple[list[tuple[float, float]], float, float]:
    """
    Hold probabilities against outcomes, each with a weight; what weighs nothing is left out.

    Returns:
        (mean probability, share that is right) of each of the equal-mass bins; the expected calibration error over
        them; the Brier score.
    """
    there = weight > 0
    said, right, weight = said[there], right[there], weight[there]
    if not said.size:
        return [], np.nan, np.nan
    points, ece = [], 0.0
    for part in np.array_split(np.argsort(said, kind="stable"), min(bins, said.size)):
        mean, share = (float(np.average(values[part], weights=weight[part])) for values in (said, right))
        points.append((mean, share))
        ece += abs(mean - share) * float(weight[part].sum() / weight.sum())
    return points, ece, float(np.average((said - right) ** 2, weights=weight))
