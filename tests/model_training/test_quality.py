"""The measures of the report against loops and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss

from model_training.metrics import average_precision, b_cubed, recall_at, reliability
from model_training.ranking import Ranking, rank

RNG = np.random.default_rng(4)
GROUPS = np.r_[RNG.integers(0, 9, 38), 90, 91]


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    """40 postings, two of them alone, ask each other: everything is ranked."""
    vectors = np.random.default_rng(1).normal(size=(40, 6)).astype(np.float32)
    return rank(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), GROUPS, np.arange(40))


@pytest.mark.parametrize("depth", [1, 3, 20, 50])
def test_recall_and_average_precision_equal_counting(ranking: Ranking, depth: int) -> None:
    """Down the list: what was found of what the places can hold, and the mean precision at each right answer."""
    recalls, precisions = recall_at(ranking, depth), average_precision(ranking, depth)
    for query in range(40):
        found, precision = 0, 0.0
        for place, row in enumerate(ranking.rows[query, :depth].tolist(), start=1):
            if row != query and np.isfinite(ranking.scores[query, place - 1]) and GROUPS[row] == GROUPS[query]:
                found += 1
                precision += found / place
        most = min(depth, GROUPS.tolist().count(GROUPS[query]) - 1)
        if most == 0:
            assert np.isnan(recalls[query])
            assert np.isnan(precisions[query])
        else:
            assert (recalls[query], precisions[query]) == pytest.approx((found / most, precision / most))


def test_average_precision_is_scikit_learns(ranking: Ranking) -> None:
    """Where the list is whole, the two agree."""
    own = average_precision(ranking, 50)
    for query in np.flatnonzero(ranking.truth > 0):
        there = np.isfinite(ranking.scores[query])
        expected = average_precision_score(ranking.right[query, there], ranking.scores[query, there])
        assert own[query] == pytest.approx(expected)


def test_b_cubed_equals_counting() -> None:
    """Of each posting: how much of its cluster is of its product, and how much of its product is in its cluster."""
    clusters, rows = np.random.default_rng(2).integers(0, 12, 40), np.arange(0, 40, 3)
    precision, recall = b_cubed(clusters, GROUPS, rows)
    for at, row in enumerate(rows):
        cluster = {other for other in range(40) if clusters[other] == clusters[row]}
        product = {other for other in range(40) if GROUPS[other] == GROUPS[row]}
        both = len(cluster & product)
        assert (precision[at], recall[at]) == (both / len(cluster), both / len(product))


def test_reliability_equals_counting() -> None:
    """Fifteen bins of equally many candidates; the gaps weigh what their candidates weigh; Brier is scikit-learn's."""
    rng = np.random.default_rng(3)
    said, weight = rng.random((50, 7)), rng.choice([0.0, 1.0, 2.0], (50, 7))
    right = rng.random((50, 7)) < said**2
    points, ece, brier = reliability(said, right, weight)
    told = sorted((s, r, w) for s, r, w in zip(said.ravel(), right.ravel(), weight.ravel(), strict=True) if w)
    sizes = [len(told) // 15 + (number < len(told) % 15) for number in range(15)]
    expected, start, total = 0.0, 0, sum(w for *_, w in told)
    for (mean, share), size in zip(points, sizes, strict=True):
        part, start = told[start : start + size], start + size
        mass = sum(w for *_, w in part)
        assert mean == pytest.approx(sum(s * w for s, _, w in part) / mass)
        assert share == pytest.approx(sum(r * w for _, r, w in part) / mass)
        expected += abs(mean - share) * mass / total
    assert ece == pytest.approx(expected)
    there = weight > 0
    assert brier == pytest.approx(brier_score_loss(right[there], said[there], sample_weight=weight[there]))
    assert np.isnan(reliability(said, right, np.zeros_like(said))[1:]).all()
