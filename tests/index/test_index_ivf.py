"""Inverted files: what they find, how they come to be and go, while the index serves."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index import upkeep
from index.flat import Asked
from index.fusion import Fusion
from index.index import Index
from index.ivf import IvfSet, nearest_centroids
from index.postings import Draft
from index.search import Floors
from index.training import learn_centroids, measure_probes
from index.tuning import TUNING
from tests.index.conftest import OpenIndex
from tests.index.oracle import Known, brute_force, random_vectors, unit
from tests.index.test_index_search import WEIGHTS, WIDE, catalogue, fill
from tests.index.test_index_threads import together

# Few postings; all lists are looked at, so that answers are exact; nothing happens by itself.
TINY = replace(TUNING, ivf_from=64, found=1.0, snapshot_behind=10**9, pause_s=3600.0, retry_s=0.0)
ALL = b"image+title"
FLOORS: list[Floors] = [lambda views: -1.0, lambda views: 0.5, lambda views: 0.9]


@pytest.fixture(scope="module")
def postings() -> dict[str, Known]:
    """A catalogue of 600, a third of each view set."""
    return catalogue(600, seed=3)


@pytest.fixture
def opened(open_index: OpenIndex) -> Iterator[Index]:
    """An empty index with tiny inverted files."""
    return open_index(dimensions=WIDE, weights=WEIGHTS, tuning=TINY)


def kinds(index: Index) -> Mapping[str, str]:
    return {views: one.kind for views, one in index.health().sets.items()}


def assert_exact(index: Index, postings: Mapping[str, Known], seed: int = 8) -> None:
    """Searches of each kind, with filters and exclusions, equal brute force."""
    rng = np.random.default_rng(seed)
    names = list(postings)
    for number in range(12):
        query = random_vectors(rng, (("image", "title"), ("image",), ("title",))[number % 3], WIDE)
        if number % 4:
            query = postings[names[rng.integers(len(names))]].vectors
        where = {"shop": 2} if number % 3 == 1 else None
        exclude = set(rng.choice(names, 50)) if number % 3 == 2 else set()
        k, floors = [1, 7, 50][number % 3], FLOORS[number // 4]
        hits = index.search(query, k=k, floors=floors, where=where, exclude=exclude)
        expected = brute_force(postings, query, WEIGHTS, k=k, floors=floors, where=where, exclude=exclude)
        assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in hits] == expected


def test_an_inverted_file_answers_as_brute_force(opened: Index, postings: dict[str, Known]) -> None:
    """Before and after flat sets become inverted files, after changes to them, and after they are trained anew."""
    fill(opened, postings)
    assert set(kinds(opened).values()) == {"flat"}
    opened._upkeep.look()
    assert set(kinds(opened).values()) == {"ivf"}
    assert opened.health().builds_done == 3
    assert_exact(opened, postings)
    rng = np.random.default_rng(1)
    left = dict(postings)
    for number, name in enumerate(list(postings)[:240]):
        if number % 2:
            opened.delete(name).result(10)
            del left[name]
        else:
            views = (("image", "title"), ("image",), ("title",))[int(rng.integers(3))]
            left[name] = Known(None, {"shop": number % 4}, random_vectors(rng, views, WIDE))
            opened.put(Draft(name, "new", left[name].metadata, left[name].vectors)).result(10)
    assert_exact(opened, left)
    opened._upkeep.build(ALL)
    assert_exact(opened, left)
    assert sum(opened.counts().values()) == len(left)


def test_a_set_that_shrinks_is_flat_again(opened: Index, postings: dict[str, Known]) -> None:
    """Below half of the size, not before, so that a set at the border does not change for every posting."""
    fill(opened, postings)
    opened._upkeep.look()
    left = dict(postings)
    for name in list(postings)[: 600 - 3 * 33]:
        opened.delete(name).result(10)
        del left[name]
    opened._upkeep.look()
    assert set(kinds(opened).values()) == {"ivf"}
    for name in list(left)[:9]:
        opened.delete(name).result(10)
        del left[name]
    opened._upkeep.look()
    assert set(kinds(opened).values()) == {"flat"}
    assert_exact(opened, left)


def test_a_set_that_grew_fourfold_is_trained_anew(opened: Index) -> None:
    """The lists follow the size; until then the old ones serve."""
    many = catalogue(1200, seed=4)
    some = dict(list(many.items())[:300])
    fill(opened, some)
    opened._upkeep.look()
    lists = opened.health().sets["image+title"].lists
    fill(opened, dict(list(many.items())[300:1197]))
    opened._upkeep.look()
    assert opened.health().sets["image+title"].lists == lists
    fill(opened, dict(list(many.items())[1197:]))
    opened._upkeep.look()
    assert opened.health().sets["image+title"].lists == 2 * lists
    assert_exact(opened, many)


def test_what_is_written_while_a_set_is_made_is_in_it(
    opened: Index, postings: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Puts, replacements and deletes after the rows were read, and between the passes that catch up."""
    fill(opened, postings)
    rng = np.random.default_rng(5)
    left = dict(postings)
    names = [name for name, known in postings.items() if set(known.vectors) == {"image", "title"}]
    original = upkeep.restore

    def write() -> None:
        for step in range(30):
            name = names[int(rng.integers(len(names)))]
            if step % 3 == 0:
                opened.delete(name).result(10)
                left.pop(name, None)
            else:
                views = ("image", "title") if step % 3 == 1 else ("title",)
                left[name] = Known(None, {"shop": 1}, random_vectors(rng, views, WIDE))
                opened.put(Draft(name, f"{step}", {"shop": 1}, left[name].vectors)).result(10)

    def interrupted(*given: object) -> object:
        write()
        made = original(*given)  # type: ignore[arg-type]  # handed on
        write()
        return made

    monkeypatch.setattr(upkeep, "restore", interrupted)
    opened._upkeep.build(ALL)
    assert kinds(opened)["image+title"] == "ivf"
    assert_exact(opened, left)


def test_searches_go_on_while_sets_are_exchanged(opened: Index, postings: dict[str, Known]) -> None:
    """A search beside writes and builds finds each posting that rests, once, with its score."""
    fill(opened, postings)
    resting = {name: known for name, known in postings.items() if int(name[1:]) % 2}
    done = threading.Event()

    def look() -> None:
        rng = np.random.default_rng(2)
        names = list(resting)
        while not done.is_set():
            name = names[int(rng.integers(len(names)))]
            hits = opened.search(resting[name].vectors, k=50, floors=lambda views: 0.999)
            ids = [hit.posting.posting_id for hit in hits]
            assert len(ids) == len(set(ids))
            assert name in ids

    def churn() -> None:
        rng = np.random.default_rng(3)
        while not done.is_set():
            name = f"p{2 * int(rng.integers(300))}"
            opened.put(Draft(name, str(rng.random()), {}, random_vectors(rng, ("image", "title"), WIDE))).result(10)

    def exchange() -> None:
        try:
            for _ in range(5):
                opened._upkeep.build(ALL)
                opened._upkeep.write_snapshot(ALL)
        finally:
            done.set()

    together(look, look, churn, exchange)


def test_a_build_in_a_process_of_its_own(open_index: OpenIndex, postings: dict[str, Known]) -> None:
    """Larger sets are trained there; the answers are the same."""
    index = open_index(dimensions=WIDE, weights=WEIGHTS, tuning=replace(TINY, process_from=0))
    fill(index, postings)
    index._upkeep.build(ALL)
    assert_exact(index, postings)


def test_a_build_that_fails_leaves_the_old_set(
    opened: Index, postings: dict[str, Known], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted, and made up for at the next look."""

    def broken(*_: object) -> None:
        raise MemoryError("none left")

    fill(opened, postings)
    with monkeypatch.context() as patching:
        patching.setattr(upkeep, "build_snapshot", broken)
        opened._upkeep.look()
    assert set(kinds(opened).values()) == {"flat"}
    assert (opened.health().builds_failed, opened.health().building) == (3, False)
    assert "none left" in caplog.text
    assert_exact(opened, postings)
    opened._upkeep.look()
    assert set(kinds(opened).values()) == {"ivf"}


def test_a_wide_filter_is_answered_right(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its labels are too many to be read, FAISS's answers are sieved until there are enough."""
    monkeypatch.setattr("index.search._FEW", 10)
    many = catalogue(600, seed=9)
    index = open_index(dimensions=WIDE, weights=WEIGHTS, tuning=TINY)
    fill(index, many)
    assert_exact(index, many)
    index._upkeep.look()
    assert_exact(index, many)


def test_close_ends_a_build(open_index: OpenIndex, postings: dict[str, Known]) -> None:
    """The process is ended, not waited for, and leaves nothing behind that a start would trip over."""
    slow = replace(TINY, process_from=0, pause_s=0.01, rounds=10**6)
    index = open_index(dimensions=WIDE, weights=WEIGHTS, tuning=slow)
    fill(index, postings)
    while not index.health().building:
        pass
    index.close()
    assert_exact(open_index(dimensions=WIDE, weights=WEIGHTS, tuning=TINY), postings)


def test_the_error_bound_holds() -> None:
    """8-bit scores of 20,000 pairs lie within the bound, and the bound is no more than a few times what is seen."""
    rng = np.random.default_rng(4)
    dimensions, weights = {"image": 256, "lexical": 512, "title": 256}, {"image": 0.35, "lexical": 0.39, "title": 0.26}
    fusion = Fusion(tuple(dimensions), dimensions, weights)
    parts = {view: rng.standard_normal((200, dimension)) for view, dimension in dimensions.items()}
    parts["lexical"] *= rng.random((200, 512)) < 0.1  # hashed n-grams: mostly zeros, some large
    parts["title"][:100] = 0
    parts["title"][:100, :3] = 1  # all in few components
    halves = np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts.values()])
    rows = fusion.rows(halves.astype(np.float16))
    stored = IvfSet(fusion, rows[:4], {}, 1)
    stored.prepare(list(range(200)), halves.astype(np.float16))()
    seen = []
    for shared in (("image",), ("lexical", "title"), fusion.views):
        for query in questions(fusion, rows, shared)[::6]:
            asked = Asked(query[None], frozenset(shared), -1.0)
            nearest = stored.nearest(asked, 200, None, np.empty(0, dtype=np.int64))
            off = np.abs(nearest.scores - rows[nearest.labels].astype(np.float64) @ query)
            seen.append(off.max() / stored.error(asked))
    assert 0.2 < max(seen) <= 1


def questions(fusion: Fusion, rows: NDArray[np.float32], shared: tuple[str, ...]) -> NDArray[np.float32]:
    """Fused rows as queries with some of their views."""
    asked = np.zeros_like(rows)
    for view in shared:
        asked[:, fusion.part(view)] = rows[:, fusion.part(view)] / fusion.total(shared)
    return asked


def blobs(rng: np.random.Generator, centres: int, each: int, dimension: int) -> NDArray[np.float32]:
    rows = [
        row + 0.05 * unit(rng, dimension) for row in (unit(rng, dimension) for _ in range(centres)) for _ in range(each)
    ]
    return np.stack([row / np.linalg.norm(row) for row in rng.permutation(np.stack(rows))]).astype(np.float32)


def test_centroids_are_means_of_their_rows() -> None:
    """Where rows lie in tight bunches each centroid ends up as the mean direction of the rows nearest to it."""
    sample = blobs(np.random.default_rng(0), centres=12, each=40, dimension=16)
    centroids = learn_centroids(sample, 12, rounds=30)
    homes = nearest_centroids(sample, centroids)
    for number in set(homes.tolist()):
        mean = sample[homes == number].mean(axis=0)
        np.testing.assert_allclose(centroids[number], mean / np.linalg.norm(mean), atol=1e-5)


def test_probes_find_what_all_lists_find() -> None:
    """With so many lists as were measured, new questions find their near ones; higher floors need no more lists."""
    rng = np.random.default_rng(1)
    fusion = Fusion(("image", "title"), {"image": 12, "title": 8}, {"image": 0.6, "title": 0.4})
    parts = np.split(blobs(rng, 200, 20, 20), [12], axis=1)
    halves = np.hstack([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]).astype(np.float16)
    rows = fusion.rows(halves)
    centroids = learn_centroids(rows[:2000], 60, rounds=8)
    probes = measure_probes(rows[:2000], centroids, fusion, replace(TUNING, questions=500, near=1_000, found=0.95))
    assert set(probes) == {"image", "title", "image+title"}
    stored = IvfSet(fusion, centroids, probes, 1)
    stored.prepare(list(range(len(rows))), halves)()
    everything = IvfSet(fusion, centroids, {}, 1)
    everything.prepare(list(range(len(rows))), halves)()
    for shared, measured in probes.items():
        assert [probe.lists for probe in measured] == sorted((probe.lists for probe in measured), reverse=True)
        found = total = 0
        for query in questions(fusion, rows[3000:3200], tuple(shared.split("+"))):
            asked = Asked(query[None], frozenset(shared.split("+")), -1.0)
            nothing = np.empty(0, dtype=np.int64)
            right = set(everything.nearest(asked, 20, None, nothing).labels.tolist())
            found += len(right & set(stored.nearest(asked, 20, None, nothing).labels.tolist()))
            total += len(right)
        assert found / total > 0.97
    assert stored.to_probe(Asked(asked.row, frozenset(fusion.views), 0.9)) < 20


def test_a_child_ends_with_its_parent(data_dir: Path) -> None:
    """Killed while another process trains for it: that one is gone a moment later."""
    code = f"""
import numpy as np
from dataclasses import replace
from pathlib import Path
from pathlib import Path
from index.index import Index
from tests.index.test_index_ivf import TINY, WEIGHTS, WIDE, catalogue, fill
tuning = replace(TINY, process_from=0, pause_s=0.01, rounds=10**6)
index = Index.open(Path({str(data_dir)!r}), encoder_id="one", dimensions=WIDE, weights=WEIGHTS, tuning=tuning)
fill(index, catalogue(300, seed=1))
while index._upkeep._child._process is None:
    pass
print(index._upkeep._child._process.pid, flush=True)
index._upkeep._thread.join()
"""
    root, pipe = Path(__file__).parents[2], subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdout=pipe, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        child = Path("/proc") / parent.stdout.readline().strip()
        assert child.exists()
        parent.kill()
    deadline = time.monotonic() + 20
    while child.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.exists()
