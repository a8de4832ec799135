"""Searches against brute force."""

from collections.abc import Mapping

import numpy as np
import pytest

from index.flat import Asked, FlatSet
from index.fusion import Fusion
from index.index import Index
from index.ivf import IvfSet
from index.postings import Draft
from tests.index.conftest import OpenIndex
from tests.index.oracle import Known, Vectors, brute_force, random_vectors, unit

WIDE = {"image": 96, "title": 48}
WEIGHTS = {"image": 0.7, "title": 0.3}
VIEW_SETS = (("image", "title"), ("image",), ("title",))


def catalogue(count: int, seed: int) -> dict[str, Known]:
    """Postings of all view sets in tight groups, every fifth an exact copy of an earlier one."""
    rng = np.random.default_rng(seed)
    centres = [random_vectors(rng, ("image", "title"), WIDE) for _ in range(count // 8)]
    postings: dict[str, Known] = {}
    for number in range(count):
        views = VIEW_SETS[number % 3]
        centre = centres[rng.integers(len(centres))]
        vectors: Vectors = {view: near(centre[view], rng) for view in views}
        if number % 5 == 4 and number > 6:
            vectors = postings[f"p{number - 3}"].vectors
        postings[f"p{number}"] = Known(None, {"shop": int(rng.integers(4))}, vectors)
    return postings


def near(centre: np.typing.NDArray[np.float32], rng: np.random.Generator) -> np.typing.NDArray[np.float32]:
    moved = centre + 0.4 * unit(rng, len(centre))
    return (moved / np.linalg.norm(moved)).astype(np.float32)


@pytest.fixture(scope="module")
def postings() -> dict[str, Known]:
    """A catalogue of 600."""
    return catalogue(600, seed=3)


def fill(index: Index, postings: Mapping[str, Known]) -> None:
    futures = [index.put(Draft(name, None, known.metadata, known.vectors)) for name, known in postings.items()]
    for future in futures:
        future.result(10)


@pytest.mark.parametrize("floor", [-1.0, 0.5, 0.9, 2.0])
def test_search_equals_brute_force(open_index: OpenIndex, postings: dict[str, Known], floor: float) -> None:
    """Ids, order and scores, for each kind of query, with filters and exclusions, before and after a restart."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    fill(index, postings)
    rng = np.random.default_rng(8)
    names = list(postings)
    for restarted in (False, True):
        if restarted:
            index.close()
            index = open_index(dimensions=WIDE, weights=WEIGHTS)
        for number in range(12):
            query = random_vectors(rng, VIEW_SETS[number % 3], WIDE)
            if number % 4:
                source = postings[names[rng.integers(len(names))]].vectors
                query = {view: near(vector, rng) if number % 2 else vector for view, vector in source.items()}
            where = {"shop": 2} if number % 3 == 1 else None
            exclude = set(rng.choice(names, 50)) if number % 3 == 2 else set()
            k = [1, 7, 50][number % 3]
            floors = {True: lambda views: floor, False: lambda views: floor - 0.05 * len(views)}[number % 2 == 0]
            hits = index.search(query, k=k, floors=floors, where=where, exclude=exclude)
            expected = brute_force(postings, query, WEIGHTS, k=k, floors=floors, where=where, exclude=exclude)
            assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in hits] == expected


def test_a_posting_scores_exactly_one_against_itself(open_index: OpenIndex, postings: dict[str, Known]) -> None:
    """A stored and a freshly encoded query answer alike, and 1.0 is 1.0."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    fill(index, dict(list(postings.items())[:60]))
    for name in list(postings)[:60]:
        stored = index.search(index.get(name).vectors, k=60, floors=lambda views: 1.0)
        fresh = index.search(postings[name].vectors, k=60, floors=lambda views: 1.0)
        assert stored == fresh
        own = next(hit for hit in stored if hit.posting.posting_id == name)
        assert own.score == 1.0
        assert set(own.scores.values()) == {1.0}


def test_ties_longer_than_any_guess_come_in_order_of_id(open_index: OpenIndex) -> None:
    """500 postings with one stock photograph: the first k by id bytes, however FAISS orders them."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    photograph = random_vectors(np.random.default_rng(1), ("image",), WIDE)
    names = [f"{number * 7919 % 500:03}" for number in range(500)]
    fill(index, {name: Known(None, {}, photograph) for name in names})
    hits = index.search(photograph, k=5, floors=lambda views: 0.5, exclude=["001", "003"])
    assert [hit.posting.posting_id for hit in hits] == ["000", "002", "004", "005", "006"]


def test_scores_that_only_float32_tells_apart_are_ties(open_index: OpenIndex) -> None:
    """Postings one float16 step from each other score alike at 1e-6, so their ids decide, not FAISS's last bits."""
    rng = np.random.default_rng(21)
    centre = unit(rng, 96).astype(np.float16)
    names = [f"{number * 7919 % 400:03}" for number in range(400)]
    postings = {}
    for name in names:
        moved = centre.copy()
        place = rng.integers(96)
        moved[place] = np.nextafter(moved[place], np.float16(rng.choice([-1, 1])))
        postings[name] = Known(None, {}, {"image": moved.astype(np.float32)})
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    fill(index, postings)
    for query in ({"image": centre.astype(np.float32)}, {"image": unit(rng, 96)}):
        for k in (1, 5, 40):
            hits = index.search(query, k=k, floors=lambda views: -1.0)
            expected = brute_force(postings, query, WEIGHTS, k=k, floors=lambda views: -1.0)
            assert [(hit.posting.posting_id, hit.score) for hit in hits] == [
                (name, score) for name, score, _ in expected
            ]


def test_the_first_below_the_floor_ends_the_list(open_index: OpenIndex) -> None:
    """The caller sees the best rejected one, and nothing after it."""
    index = open_index(dimensions={"title": 2}, weights={"title": 1.0})
    for degrees in (0, 10, 20, 30, 40):
        angle = np.radians(degrees)
        vector = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
        index.put(Draft(str(degrees), None, {}, {"title": vector})).result(10)
    east = {"title": np.array([1, 0], dtype=np.float32)}
    hits = index.search(east, k=5, floors=lambda views: float(np.cos(np.radians(15))))
    assert [hit.posting.posting_id for hit in hits] == ["0", "10", "20"]
    assert [hit.posting.posting_id for hit in index.search(east, k=2, floors=lambda views: -1.0)] == ["0", "10"]


def test_floors_are_asked_by_the_views_that_both_sides_have(open_index: OpenIndex) -> None:
    """Each set of shared views is cut by its own floor; postings that share no view are not met."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    rng = np.random.default_rng(4)
    query = random_vectors(rng, ("image", "title"), WIDE)
    for name, views in (("both", ("image", "title")), ("picture", ("image",)), ("title", ("title",))):
        index.put(Draft(name, None, {}, {view: query[view] for view in views})).result(10)
    asked: set[frozenset[str]] = set()

    def floors(views: frozenset[str]) -> float:
        asked.add(views)
        return 0.5

    hits = index.search(query, k=5, floors=floors)
    assert [(hit.posting.posting_id, tuple(hit.scores)) for hit in hits] == [
        ("picture", ("image",)),
        ("both", ("image", "title")),
        ("title", ("title",)),
    ]
    assert asked == {frozenset({"image"}), frozenset({"title"}), frozenset({"image", "title"})}
    hits = index.search({"title": query["title"]}, k=5, floors=floors)
    assert [hit.posting.posting_id for hit in hits] == ["both", "title"]


def test_new_weights_need_a_reopening_and_no_rewriting(open_index: OpenIndex, postings: dict[str, Known]) -> None:
    """The same directory answers by other weights, and its rows stay as they are."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS)
    some = dict(list(postings.items())[:90])
    fill(index, some)
    revisions = [posting.revision for posting in index.scan(after=None, limit=100)]
    index.close()
    other = {"image": 0.1, "title": 2.5}
    index = open_index(dimensions=WIDE, weights=other)
    query = random_vectors(np.random.default_rng(9), ("image", "title"), WIDE)
    hits = index.search(query, k=20, floors=lambda views: -1.0)
    expected = brute_force(some, query, other, k=20, floors=lambda views: -1.0)
    assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in hits] == expected
    assert expected != brute_force(some, query, WEIGHTS, k=20, floors=lambda views: -1.0)
    assert [posting.revision for posting in index.scan(after=None, limit=100)] == revisions


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"n": 1}, ["float", "one"]),
        ({"n": 1.0}, ["float", "one"]),
        ({"n": True}, ["true"]),
        ({"n": "1"}, ["string"]),
        ({"n": None}, ["null"]),
        ({"n": 2**60 + 1}, ["big"]),
        ({"n": 2**60}, []),
        ({"n": 1, "shop": "a"}, ["one"]),
        ({}, ["big", "deep", "float", "missing", "null", "one", "string", "true"]),
    ],
)
def test_filters_compare_json_scalars(open_index: OpenIndex, where: dict[str, object], found: list[str]) -> None:
    """True is not 1, 1 is 1.0, "1" is neither, null is a value, and lists and objects equal nothing."""
    index = open_index(dimensions={"title": 2}, weights={"title": 1.0})
    vector = {"title": np.array([1, 0], dtype=np.float32)}
    metadata = {
        "one": {"n": 1, "shop": "a"},
        "float": {"n": 1.0, "shop": "b"},
        "true": {"n": True},
        "string": {"n": "1"},
        "null": {"n": None},
        "big": {"n": 2**60 + 1},
        "deep": {"n": [1], "m": {"n": 1}},
        "missing": {},
    }
    for name, data in metadata.items():
        index.put(Draft(name, None, data, vector)).result(10)
    hits = index.search(vector, k=10, floors=lambda views: 0.0, where=where)
    assert [hit.posting.posting_id for hit in hits] == found
    assert [posting.posting_id for posting in index.scan(after=None, limit=10, where=where)] == found


def test_a_search_needs_a_view_and_a_place(open_index: OpenIndex) -> None:
    """No view and k below 1 are the caller's errors."""
    index = open_index()
    with pytest.raises(ValueError, match="at least one view"):
        index.search({}, k=1, floors=lambda views: 0.0)
    with pytest.raises(ValueError, match="k of at least 1"):
        index.search({"title": unit(np.random.default_rng(0), 4)}, k=0, floors=lambda views: 0.0)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_set_answers_for_exactly_what_is_left(kind: str) -> None:
    """Whatever is put, overwritten and removed, through growth too, nothing else is found and nothing is missed."""
    rng = np.random.default_rng(6)
    fusion = Fusion(("title",), {"title": 8}, {"title": 1.0})
    centroids = np.stack([unit(rng, 8) for _ in range(7)])
    stored = FlatSet(fusion) if kind == "flat" else IvfSet(fusion, centroids, {}, 1)
    expected: dict[int, np.typing.NDArray[np.float32]] = {}
    for _ in range(2_000):
        label = int(rng.integers(300))
        stored.remove([label, label + 1_000])
        if rng.random() < 0.4:
            expected.pop(label, None)
        else:
            row = unit(rng, 8).astype(np.float16)
            stored.prepare([label], row[None])()
            expected[label] = (row / np.linalg.norm(row.astype(np.float64))).astype(np.float32)
        assert len(stored) == len(expected)
        assert (label in stored) == (label in expected)
    asked = Asked(unit(rng, 8)[None], frozenset({"title"}), -1.0)
    without = np.array([3, 4, 5])
    nearest = stored.nearest(asked, 400, None, without)
    scores = {label: float(row @ asked.row[0]) for label, row in expected.items() if label not in without}
    assert set(nearest.labels.tolist()) == set(scores)
    assert np.all(np.diff(nearest.scores) <= 0)
    error = stored.error(asked)
    np.testing.assert_allclose(nearest.scores, [scores[label] for label in nearest.labels.tolist()], atol=error)
    within = np.array(sorted(scores)[:40])
    assert set(stored.nearest(asked, 400, within, without).labels.tolist()) == set(within.tolist())
