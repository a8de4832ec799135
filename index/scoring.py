"""Exact scores: the same numbers as brute force in float64 over the stored float16 values."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SCORE_DECIMALS = 6


def unit_float64(half: NDArray[np.float16]) -> NDArray[np.float64]:
    """A stored or rounded vector (dim,) brought to length one in float64."""
    exact = half.astype(np.float64)
    unit: NDArray[np.float64] = exact / math.sqrt(np.add.reduce(exact * exact))
    return unit


def cosine(stored: NDArray[np.float16], query: NDArray[np.float64]) -> float:
    """
    The cosine of a stored vector (dim,) and a unit query (dim,), -1..1, rounded to 1e-6.

    numpy's own sums, not BLAS: their order of additions does not depend on what else is being scored, so a pair scores
    alike in every search.
    """
    exact = stored.astype(np.float64)
    score = float(np.add.reduce(exact * query)) / math.sqrt(np.add.reduce(exact * exact))
    return round(score, SCORE_DECIMALS) + 0.0  # -0.0 becomes 0.0


def fuse(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """
    The weighted mean of the view scores that both sides have, rounded to 1e-6.

    >>> fuse({"image": 0.5, "title": 1.0}, {"image": 1.0, "title": 3.0})
    0.875
    """
    total = sum(weights[view] for view in scores)
    return round(sum(weights[view] * score for view, score in scores.items()) / total, SCORE_DECIMALS) + 0.0
