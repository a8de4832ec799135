"""What the benchmark of decisions measures, by hand and against loops."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmarks.decisions import SEED, gain_over_best, judge, mix, pair_sizes, recall, remove_names, score, spread
from model_training.ranking import Ranking
from model_training.sample.products import draw_family

TITLES = {
    "a": ["Chaz Kangeroo&trade; Hoodie-XS-Black", "Chaz Kangerootm Hoodie - S-Black", "CHAZ KANGEROOTM HOODIE"],
    "b": ["Bruno Tank", "Bruno Tank", "Bruno Tank-Bruno's"],
    "c": ["Autumn-S", "autumn", "Autumn-XS"],
    **{f"other {number}": [f"Hoodie Tank own{number}"] for number in range(59)},
    "last": ["Hoodie Tank Bruno"],
}


def test_half_of_the_titles_lose_their_products_own_words() -> None:
    """Words of more than 2 % of the others stay, as do those of some of its titles, and a title that is but a name."""
    bare = {
        "Chaz KangerooTM Hoodie-XS-Black": "Hoodie-XS-Black",
        "Chaz Kangerootm Hoodie - S-Black": "Hoodie - S-Black",
        "CHAZ KANGEROOTM HOODIE": "HOODIE",
        "Bruno Tank": "Tank",
        "Bruno Tank-Bruno's": "Tank-'s",
        "Autumn-S": "S",
        "autumn": "autumn",
        "Autumn-XS": "XS",
        **{f"Hoodie Tank own{number}": "Hoodie Tank" for number in range(59)},
        "Hoodie Tank Bruno": "Hoodie Tank",
    }
    titles = [title for group in TITLES.values() for title in group]
    got = remove_names(titles, [group for group, its in TITLES.items() for _ in its])
    whole = [title.replace("&trade;", "TM") for title in titles]
    lost = np.random.default_rng(SEED).permutation(69)[:34]
    assert got == [bare[title] if row in lost else title for row, title in enumerate(whole)]
    assert {"a", "b", "c"} <= {
        group for row, group in enumerate(g for g, its in TITLES.items() for _ in its) if row in lost
    }


def test_a_mixture_keeps_its_sources_apart(tmp_path: Path) -> None:
    """Ids, groups and pictures carry their source; a single product stays without a group, grocery without titles."""
    for name in ("drawn", "grocery"):
        (tmp_path / name / "images").mkdir(parents=True)
        rows = "posting_id,image,title,label_group\np1,a.jpg,First one,g\np2,a.jpg,Second,\n"
        (tmp_path / name / "postings.csv").write_text(rows)
    for _ in range(2):
        mix(tmp_path / "mixture", {name: tmp_path / name for name in ("drawn", "grocery")})
    with (tmp_path / "mixture" / "postings.csv").open(newline="", encoding="utf-8") as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == [
            ("drawn-p1", "drawn/a.jpg", "First one", "drawn-g"),
            ("drawn-p2", "drawn/a.jpg", "Second", ""),
            ("grocery-p1", "grocery/a.jpg", "", "grocery-g"),
            ("grocery-p2", "grocery/a.jpg", "", ""),
        ]
    assert (tmp_path / "mixture" / "images" / "grocery").resolve() == (tmp_path / "grocery" / "images").resolve()


def ranking() -> Ranking:
    """Two queries: one finds right .9, contradicting right .8, wrong .5; the other, alone, wrong .7, wrong .3."""
    return Ranking(
        rows=np.array([[1, 2, 3], [4, 5, 6]]),
        scores=np.array([[0.9, 0.8, 0.5], [0.7, 0.3, -np.inf]], dtype=np.float32),
        right=np.array([[True, True, False], [False, False, False]]),
        conflict=np.array([[False, True, False], [False, False, False]]),
        truth=np.array([2, 0]),
        groups=np.array([0, 1]),
    )


def test_f1s_are_those_worked_out_by_hand() -> None:
    """Best from .7025 to .9 on: one of two found, nothing wrong; at .6 the second query takes a stranger."""
    best, learned = [2 * 2 / (2 + 3), 1], [2 * 2 / (2 + 3), 2 / (2 + 1)]
    half_best, half_learned = [(0.8 + 1) / 2, 1], [(0.8 + 1) / 2, 2 / 3]
    assert score(ranking(), 0.6) == pytest.approx(np.array([best, learned, half_best, half_learned]))


def test_the_rejection_costs_the_right_answers_that_contradict() -> None:
    """One of two right answers with it, both without; a query that can find nothing counts for nothing."""
    found = recall(ranking(), 0.6)
    assert found[:, 0].tolist() == [0.5, 1]
    assert np.isnan(found[:, 1]).all()
    assert spread(found[1] - found[0], np.array([0, 1])) == {"estimate": 0.5, "low": 0.5, "high": 0.5}


def test_the_gain_is_over_the_best_rival_and_paired() -> None:
    """The rival of mean .5, not that of .4; a gain that is the same for each query has an interval of no width."""
    gain = gain_over_best(np.array([0.4, 0.7, 1.0]), [np.array([0.3, 0.9, 0.0]), np.array([0.2, 0.5, 0.8])])
    assert gain.tolist() == pytest.approx([0.2, 0.2, 0.2])
    assert spread(gain, np.array([0, 0, 1])) == pytest.approx({"estimate": 0.2, "low": 0.2, "high": 0.2})


def test_a_share_of_means_is_the_mean_weighed_by_what_it_is_a_share_of() -> None:
    """(.4 + .5) / (.5 + 1.): products of equal weight in both, so the interval holds it."""
    best, here = np.array([0.5, 1.0]), np.array([0.4, 0.5])
    kept = spread(here / best, np.array([0, 1]), best)
    assert kept == pytest.approx({"estimate": 0.6, "low": 0.5, "high": 0.8})


def test_pairs_in_another_size_are_those_of_a_loop() -> None:
    """A query and every posting of its family that is alike in the variant and not in the size."""
    shelf = [(number, product) for number in range(150) for product in draw_family(SEED, number)]
    groups = np.sort(np.random.default_rng(1).integers(0, len(shelf), 250))
    queries = np.arange(0, 250, 2)
    expected = []
    for query in queries.tolist():
        for other in range(250):
            (family, one), (its, two) = shelf[groups[query]], shelf[groups[other]]
            if family == its and one.variant == two.variant and one.size != two.size:
                expected.append((query, other, family))
    assert len(expected) > 10
    assert list(zip(*(column.tolist() for column in pair_sizes(groups, queries)), strict=True)) == expected


def test_a_pair_matches_where_it_is_near_and_nothing_contradicts() -> None:
    """Three of four are near enough, the first of them contradicts: near 1 1 1 0, matches 0 1 1 0."""
    titles = [("Tea 50g", "Tea 100 g"), ("Tea 1kg", "Tea 1000 g"), ("Tea", "Tea 50g"), ("Tea 5g", "Tea 5 g")]
    scores = np.array([0.9, 0.9, 0.6, 0.59], dtype=np.float32)
    near = [1, 1, 1, 0]
    assert judge(scores, titles, 0.6).tolist() == [near, [0, 1, 1, 0]]
    assert judge(scores, None, 0.6).tolist() == [near, near]
