"""The benchmark over five folds, its measures held against loops."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.folds import SOURCES, among, bootstrap, lay_out, linear_head


def test_every_picture_stands_once_and_sources_stay_apart(tmp_path: Path) -> None:
    """The first posting of a picture is kept; ids, groups and pictures carry their source; luma alone keeps titles."""
    rows = ("p1,a.jpg,First,g", "p2,a.jpg,Second,g", "p3,b.jpg,Third,")
    for name in SOURCES:
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "postings.csv").write_text("\n".join(["posting_id,image,title,label_group", *rows, ""]))
    folder = lay_out(tmp_path, tmp_path / "out")
    assert lay_out(tmp_path, tmp_path / "out") == folder
    with (folder / "postings.csv").open(newline="", encoding="utf-8") as file:
        got = [tuple(row.values()) for row in csv.DictReader(file)]
    assert got[:3] == [
        ("luma-p1", "luma/a.jpg", "First", "luma-g"),
        ("luma-p3", "luma/b.jpg", "Third", ""),
        ("grocery-p1", "grocery/a.jpg", "", "grocery-g"),
    ]
    assert len(got) == 6
    assert (folder / "images" / "clothing").resolve() == (tmp_path / "clothing" / "images").resolve()


def test_the_best_threshold_and_the_first_answer_are_those_of_loops() -> None:
    """F1 per query, itself counted, at the threshold whose mean is highest, and whether the nearest is right."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(8), 3)[:22]
    vectors = rng.normal(size=(8, 16))[groups] + 0.8 * rng.normal(size=(22, 16))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    rows = np.arange(1, 22)
    f1, first = among(unit, groups, rows)
    scores = unit[rows] @ unit[rows].T
    best = 0.0
    for threshold in np.arange(-1, 1.0001, 0.0025):
        f1s = []
        for query in range(len(rows)):
            answers = {query} | {other for other in range(len(rows)) if scores[query, other] >= threshold - 1e-7}
            truth = {other for other in range(len(rows)) if groups[rows[other]] == groups[rows[query]]}
            f1s.append(2 * len(answers & truth) / (len(answers) + len(truth)))
        best = max(best, float(np.mean(f1s)))
    assert f1.mean() == pytest.approx(best)
    np.fill_diagonal(scores, -2)
    right = groups[rows][scores.argmax(1)] == groups[rows]
    alone = np.bincount(groups[rows])[groups[rows]] == 1
    assert first[~alone].tolist() == right[~alone].astype(float).tolist()
    assert np.isnan(first[alone]).all()


def test_the_interval_is_over_groups() -> None:
    """Values that agree within groups of 25 give five times the width that they would give one by one."""
    values = np.random.default_rng(5).normal(size=80).repeat(25)
    groups = np.arange(80).repeat(25)
    (low, high), (near, far) = bootstrap(values, groups), bootstrap(values, np.arange(2000))
    assert low < values.mean() < high
    assert (high - low) / (far - near) == pytest.approx(5, rel=0.2)
    assert bootstrap(np.append(values, np.nan), np.append(groups, 99)) == (low, high)


def test_the_baseline_learns_a_matrix_that_hides_what_does_not_matter() -> None:
    """Products that differ in few of many noisy directions: the head finds them better than the features do."""
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(40), 6)
    features = np.c_[rng.normal(size=(40, 8))[groups], 3 * rng.normal(size=(240, 56))].astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    head = linear_head(features, np.flatnonzero(groups < 30), groups)
    unseen = np.flatnonzero(groups >= 30)
    assert np.nanmean(among(head, groups, unseen)[1]) > 2 * np.nanmean(among(features, groups, unseen)[1])
