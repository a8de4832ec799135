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
