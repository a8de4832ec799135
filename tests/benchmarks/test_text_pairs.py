"""The text-pair benchmark: what it reads, what it trains on, and how it counts."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.shop_pairs import Shops, material_of, read_shops, title_of, training_products
from benchmarks.text_pairs import System, rank_labelled, rank_served
from model_training.metrics import f1_mean_others, f1_pairs
from model_training.ranking import sweep
from service.bundle.variants import read_variants

LEFT, RIGHT = 9, 12


@pytest.fixture
def shops() -> Shops:
    """Random pairs of two shops; 4 % of them show one product, and some stand in two parts."""
    rng = np.random.default_rng(2)
    labelled = {part: rng.random((LEFT, RIGHT)) < 0.3 for part in ("train", "valid", "test")}
    truth = rng.random((LEFT, RIGHT)) < 0.15
    same = {part: pairs & truth for part, pairs in labelled.items()}
    left, right = (tuple(f"mug {side} {row}0 ml" for row in range(size)) for side, size in (("a", LEFT), ("b", RIGHT)))
    return Shops(left, right, labelled, same)


def chained(pairs: list[tuple[int, int]]) -> list[set[tuple[str, int]]]:
    """Products by merging sets, over and over."""
    products = [{("left", left), ("right", right)} for left, right in pairs]
    while merging := next(((a, b) for a in products for b in products if a is not b and a & b), None):
        products = [one for one in products if all(one is not part for part in merging)] + [merging[0] | merging[1]]
    return products


def test_titles_are_what_a_shop_would_write(tmp_path: Path) -> None:
    """Name and maker, where the name lacks it, become the title; records written alike are one."""
    assert title_of("COL name VAL denon dvd3800 COL description VAL ten bit COL price VAL 1999.0") == "denon dvd3800"
    assert (
        title_of("COL title VAL quickbooks COL manufacturer VAL intuit inc. COL price VAL ") == "quickbooks intuit inc."
    )
    assert title_of("COL title VAL adobe flash COL manufacturer VAL adobe COL price VAL 9") == "adobe flash"
    a, b, c = (f"COL name VAL {name} COL price VAL 1 " for name in ("one", "two", "three"))
    for part, lines in (("train", [(a, b, 1), (a, c, 0)]), ("valid", [(b, b, 0)]), ("test", [(a, c, 1)])):
        rows = "".join(f"{left}\t{right}\t{label}\n" for left, right, label in lines)
        (tmp_path / f"{part}.txt").write_text(rows, encoding="utf-8")
    shops = read_shops(tmp_path)
    assert (shops.left, shops.right) == (("one", "two"), ("two", "three"))
    assert {part: np.argwhere(pairs).tolist() for part, pairs in shops.labelled.items()} == {
        "train": [[0, 0], [0, 1]],
        "valid": [[1, 0]],
        "test": [[0, 1]],
    }
    assert {part: np.argwhere(pairs).tolist() for part, pairs in shops.same.items()} == {
        "train": [[0, 0]],
        "valid": [],
        "test": [[0, 1]],
    }


def test_no_measured_pair_is_trained_on(shops: Shops, tmp_path: Path) -> None:
    """Products are chains of positive training pairs, without the left records of pairs of valid and test in them."""
    measured = {tuple(pair) for part in ("valid", "test") for pair in np.argwhere(shops.labelled[part]).tolist()}
    pairs = [tuple(pair) for pair in np.argwhere(shops.same["train"]).tolist()]
    leaking = {
        row for one in chained(pairs) for row, other in measured if ("left", row) in one and ("right", other) in one
    }
    kept = [(left, right) for left, right in pairs if left not in leaking]
    assert leaking
    assert kept
    expected = {frozenset(one) for one in chained(kept)}
    names = [("left", row) for row in range(LEFT)] + [("right", row) for row in range(RIGHT)]

    def products(numbers: np.ndarray) -> set[frozenset[tuple[str, int]]]:
        return {frozenset(names[row] for row in np.flatnonzero(numbers == one)) for one in np.unique(numbers)}

    assert {one for one in products(training_products(shops)) if len(one) > 1} == expected
    material = material_of(shops, tmp_path)
    train, validation = material.split.train, material.split.validation
    assert {
        frozenset(names[row] for row in train[material.catalogue.groups[train] == one])
        for one in np.unique(material.catalogue.groups[train])
    } == expected
    watched = {name for left, right in np.argwhere(shops.same["valid"]) for name in (("left", left), ("right", right))}
    assert {names[row] for row in validation} == watched - {name for one in expected for name in one}
    assert material.catalogue.titles == (*shops.left, *shops.right)


def test_pair_f1_is_that_of_a_loop_over_pairs(shops: Shops) -> None:
    """At every threshold, over the labelled pairs of a part; contradictions are no answers."""
    scores = np.random.default_rng(3).random((LEFT, RIGHT)).astype(np.float32)
    read = (tuple(map(read_variants, shops.left)), tuple(map(read_variants, shops.right)))
    for system in (System("all", scores), System("agreeing", scores, read)):
        for threshold in (0.1, 0.5, 0.9):
            pairs = [tuple(pair) for pair in np.argwhere(shops.labelled["test"])]
            said = [
                scores[pair] >= threshold and (system.read is None or pair[0] == pair[1]) for pair in pairs
            ]  # 10 ml, 20 ml
            right = [bool(shops.same["test"][pair]) for pair in pairs]
            hits = sum(a and b for a, b in zip(said, right, strict=True))
            got = f1_pairs(sweep(rank_labelled(shops, "test", system), np.array([threshold])))[0]
            assert got == pytest.approx(2 * hits / (sum(said) + sum(right)))


@pytest.mark.parametrize("part", ["valid", "test"])
def test_served_queries_meet_whom_no_earlier_part_knows(shops: Shops, part: str) -> None:
    """
    Partners known by then are gone unless the part itself names them.

    Of test every left record asks, of valid those with a partner.
    """
    scores = np.random.default_rng(4).random((LEFT, RIGHT)).astype(np.float32)
    earlier = ("train",) if part == "valid" else ("train", "valid")
    known = chained([tuple(pair) for name in earlier for pair in np.argwhere(shops.same[name]).tolist()])
    expected = []
    asking = shops.same if part == "valid" else shops.labelled
    for left in np.flatnonzero(asking[part].any(1)):
        hits = answers = 0
        for right in range(RIGHT):
            is_known = any({("left", left), ("right", right)} <= one for one in known)
            is_shown = not is_known or shops.labelled[part][left, right]
            if is_shown and scores[left, right] >= 0.6:
                answers += 1
                hits += bool(shops.same[part][left, right])
        truth = shops.same[part][left].sum()
        expected.append(2 * hits / (answers + truth) if answers + truth else 1.0)
    got = f1_mean_others(sweep(rank_served(shops, part, System("", scores)), np.array([0.6])))[:, 0]
    assert got == pytest.approx(expected)
