"""What a storefront writes to choose how much the picture counts and which one score answers, on labelled queries."""

import numpy as np
from numpy.typing import NDArray

WEIGHTS = np.arange(1, 10) / 10
THRESHOLDS = np.arange(200) / 200
DEPTH = 50
Rows = NDArray[np.float32]
Labels = NDArray[np.str_]


def combine(pictures: Rows, titles: Rows, picture_weight: float) -> Rows:
    """One unit row per posting of its two, (n, p) and (n, t), unit rows or zeros where the posting lacks one."""
    rows = np.hstack([np.sqrt(picture_weight) * pictures, np.sqrt(1 - picture_weight) * titles])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def choose(queries: tuple[Rows, Rows], asked: Labels, rows: tuple[Rows, Rows], stored: Labels) -> tuple[float, float]:
    """
    The picture's weight and the threshold of the best mean F1, over every pair of the two grids.

    Args:
        queries, rows: pictures and titles of what is asked and of what is stored, as `combine` takes them.
        asked, stored: the group of each.
    """
    right = asked[:, None] == stored
    best = (-1.0, 0.5, 0.0)
    for weight in WEIGHTS.tolist():
        scores = combine(*queries, weight) @ combine(*rows, weight).T
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
        near, hits = np.take_along_axis(scores, nearest, 1), np.take_along_axis(right, nearest, 1)
        for threshold in THRESHOLDS.tolist():
            answered = near >= threshold
            f1 = mean_f1(answered.sum(1), (answered & hits).sum(1), right.sum(1))
            best = max(best, (f1, weight, threshold))
    return best[1:]


def mean_f1(answers: NDArray[np.int64], hits: NDArray[np.int64], partners: NDArray[np.int64]) -> float:
    """The mean over queries of the F1 with the query itself counted: silence about one that is alone is 1."""
    return float(np.mean(2 * (hits + 1) / (answers + partners + 2)))
