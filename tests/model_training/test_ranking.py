"""Ranking, sweeps and metrics against loops over every pair."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model_training.metrics import f1_mean, f1_mean_alone, f1_mean_others, f1_pairs, f1s_at, query_only, recall_at_1
from model_training.ranking import ANSWERS, Ranking, rank, sweep
from service.bundle.variants import variant_conflict


def unit_rows(n: int, dimension: int, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def gallery() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """120 postings of 30 products on 60 pictures."""
    rng = np.random.default_rng(2)
    return unit_rows(120, 6, 1), rng.integers(0, 30, 120), rng.integers(0, 60, 120)


@pytest.mark.parametrize("shared", [False, True])
def test_rank_equals_brute_force(gallery, shared: bool) -> None:
    """Scores, rights and truth are what sorting all other postings gives, shared pictures left out where asked."""
    vectors, groups, pictures = gallery
    queries = np.arange(0, 120, 7)
    ranking = rank(vectors, groups, queries, pictures if shared else None)
    for row, query in enumerate(queries):
        left_out = pictures == pictures[query] if shared else np.arange(120) == query
        others = np.flatnonzero(~left_out)
        order = others[np.argsort(-(vectors[others] @ vectors[query]), kind="stable")][: ANSWERS - 1]
        assert np.allclose(ranking.scores[row, : len(order)], vectors[order] @ vectors[query], atol=1e-5)
        assert (ranking.right[row, : len(order)] == (groups[order] == groups[query])).all()
        assert ranking.truth[row] == (groups[others] == groups[query]).sum()


def test_where_the_gallery_runs_out_nothing_is_answered() -> None:
    """Postings that share the query's picture are neither answers nor right, also where no other posting is left."""
    vectors, groups, pictures = unit_rows(4, 6, 1), np.zeros(4, dtype=np.int64), np.array([7, 7, 7, 8])
    ranking = rank(vectors, groups, np.arange(4), pictures)
    assert ranking.right.sum(1).tolist() == [1, 1, 1, 3]
    assert np.isfinite(ranking.scores).sum(1).tolist() == [1, 1, 1, 3]
    assert ranking.truth.tolist() == [1, 1, 1, 3]


def test_sweep_and_f1s_equal_counting_by_hand(gallery) -> None:
    """At each threshold every query's F1, with itself and without, as a singleton and over pairs, is what sets give."""
    vectors, groups, _ = gallery
    queries = np.arange(len(groups))
    thresholds = np.array([-1.0, 0.1, 0.5, 0.9, 1.0])
    counts = sweep(rank(vectors, groups, queries), thresholds)
    cosines = vectors.astype(float) @ vectors.T
    for column, threshold in enumerate(thresholds):
        tp = fp = fn = 0
        for query in queries:
            nearest = sorted(set(queries) - {query}, key=lambda other: -cosines[query, other])[: ANSWERS - 1]
            answered = {other for other in nearest if cosines[query, other] >= threshold}
            truth = {other for other in queries if groups[other] == groups[query]}
            with_self = answered | {query}
            f1 = 2 * len(with_self & truth) / (len(with_self) + len(truth))
            assert f1_mean(counts)[query, column] == pytest.approx(f1)
            wrong = answered - truth
            assert f1_mean_alone(counts)[query, column] == pytest.approx(2 / (1 + len(wrong | {query})))
            wanted = len(answered) + len(truth) - 1
            others = 2 * len(answered & truth) / wanted if wanted else 1
            assert f1_mean_others(counts)[query, column] == pytest.approx(others)
            tp, fp, fn = tp + len(answered & truth), fp + len(wrong), fn + len(truth - with_self)
        assert f1_pairs(counts)[column] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_query_only_row_is_what_a_threshold_above_all_gives(gallery) -> None:
    """Answering nothing but the query scores the same by formula and by sweep."""
    vectors, groups, _ = gallery
    ranking = rank(vectors, groups, np.arange(len(groups)))
    counts = sweep(ranking, np.array([1.5]))
    assert query_only(ranking.truth) == f1s_at(counts, 0)
    assert query_only(np.array([1, 1])).mean == pytest.approx(2 / 3)


def test_recall_at_1_looks_at_answerable_queries_alone() -> None:
    """A query whose product has no other posting does not count."""
    ranking = Ranking(
        rows=np.zeros((3, 1), dtype=np.int64),
        scores=np.array([[0.9], [0.8], [0.7]], dtype=np.float32),
        right=np.array([[True], [False], [False]]),
        conflict=np.zeros((3, 1), dtype=bool),
        truth=np.array([1, 2, 0]),
        groups=np.array([0, 1, 2]),
    )
    assert recall_at_1(ranking) == 0.5


def test_contradicting_titles_are_noted_and_taken_out(gallery) -> None:
    """`conflict` is what the two titles say; without those the nearest others move up, exactly as far as needed."""
    vectors, groups, _ = gallery
    titles = [None if number % 11 == 0 else f"tea {250 * (1 + number % 3)} ml" for number in range(120)]
    queries = np.arange(120)
    ranking = rank(vectors, groups, queries, titles=titles)
    agreeing = ranking.agreeing().first()
    for query in queries:
        others = queries[queries != query]
        order = others[np.argsort(-(vectors[others] @ vectors[query]), kind="stable")]
        conflict = np.array([bool(variant_conflict(titles[query], titles[other])) for other in order])
        assert (ranking.conflict[query][: len(order)] == conflict).all()
        kept = order[~conflict][: ANSWERS - 1]
        finite = np.isfinite(agreeing.scores[query])
        assert np.allclose(agreeing.scores[query][finite], vectors[kept] @ vectors[query], atol=1e-5)
        assert (agreeing.right[query][finite] == (groups[kept] == groups[query])).all()
