"""Many threads at once."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from index.errors import UnknownPosting
from index.flat import Asked
from index.postings import Draft, Written
from index.rwlock import ReadersWriterLock
from index.store import Store
from index.viewsets import Placement, ViewSets
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, WEIGHTS, Known, Vectors, brute_force, random_vectors, unit

VECTORS = random_vectors(np.random.default_rng(1), ("image", "title"), DIMENSIONS)


def draft(posting_id: str, title: str, vectors: Vectors = VECTORS) -> Draft:
    """A posting with these vectors."""
    return Draft(posting_id, title, {}, vectors)


def together(*tasks: Callable[[], None]) -> None:
    """Run the tasks at once, and raise what one of them raised."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result(60)


def test_the_last_write_wins(open_index: OpenIndex) -> None:
    """Eight threads put and delete the same three ids: what was asked for last is what is there, once each."""
    index = open_index()
    order = threading.Lock()
    last: dict[str, str | None] = {}

    def race(seed: int) -> None:
        draws = random.Random(seed)
        futures: list[Future[Written] | Future[bool]] = []
        for number in range(150):
            posting_id = draws.choice("abc")
            with order:  # so that the test knows which came last
                if draws.random() < 0.4:
                    last[posting_id] = None
                    futures.append(index.delete(posting_id))
                else:
                    last[posting_id] = f"{seed}.{number}"
                    futures.append(index.put(draft(posting_id, f"{seed}.{number}")))
            if draws.random() < 0.1:
                futures[-1].result(20)
        for future in futures:
            future.result(20)

    together(*(partial(race, seed) for seed in range(8)))
    there = {posting_id: title for posting_id, title in last.items() if title is not None}
    for _ in range(2):
        assert {posting.posting_id: posting.title for posting in index.scan(after=None, limit=10)} == there
        hits = index.search(VECTORS, k=50, floors=low)
        assert [hit.posting.posting_id for hit in hits] == sorted(there)
        index.close()
        index = open_index()


def test_whoever_is_acknowledged_reads_his_own_write(open_index: OpenIndex) -> None:
    """After each put the posting is found, after each delete it is not, in all eight threads at once."""
    index = open_index()

    def walk(thread: int) -> None:
        rng = np.random.default_rng(thread)
        for number in range(40):
            posting_id = f"{thread}.{number % 3}"
            vectors = random_vectors(rng, ("image", "title"), DIMENSIONS)
            index.put(draft(posting_id, str(number), vectors)).result(20)
            assert index.get(posting_id).title == str(number)
            hits = index.search(vectors, k=1, floors=lambda views: 1.0)
            assert (hits[0].posting.posting_id, hits[0].score) == (posting_id, 1.0)
            assert index.delete(posting_id).result(20)
            assert posting_id not in {hit.posting.posting_id for hit in index.search(vectors, k=50, floors=low)}
            with pytest.raises(UnknownPosting):
                index.get(posting_id)

    together(*(partial(walk, thread) for thread in range(8)))
    assert index.count() == 0


def low(views: frozenset[str]) -> float:
    """A floor that lets everything pass."""
    return -1.0


def test_searches_beside_writes_are_whole_and_right(open_index: OpenIndex) -> None:
    """While hundreds of postings come, change view set and go, those that rest are found as if alone."""
    rng = np.random.default_rng(2)
    resting = {
        f"rest{number}": Known("rest", {}, random_vectors(rng, ("image", "title"), DIMENSIONS)) for number in range(20)
    }
    index = open_index()
    for posting_id, known in resting.items():
        index.put(draft(posting_id, "rest", known.vectors)).result(10)
    done = threading.Event()

    def churn() -> None:
        draws = np.random.default_rng(3)
        for number in range(600):
            views = (("image",), ("title",), ("image", "title"))[number % 3]
            index.put(draft(f"churn{number % 97}", str(number), random_vectors(draws, views, DIMENSIONS)))
            future = index.delete(f"churn{number * 7 % 97}")
            if number % 10 == 0:
                future.result(20)
        done.set()

    def look(seed: int) -> None:
        draws = np.random.default_rng(seed)
        while not done.is_set():
            query = random_vectors(draws, ("image", "title"), DIMENSIONS)
            hits = index.search(query, k=500, floors=low)
            ids = [hit.posting.posting_id for hit in hits]
            assert len(ids) == len(set(ids))
            expected = brute_force(resting, query, WEIGHTS, k=500, floors=low)
            found = [hit for hit in hits if hit.posting.posting_id in resting]
            assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in found] == expected

    together(churn, *(partial(look, seed) for seed in range(3)))


def test_a_posting_that_changes_its_views_is_never_missed(open_index: OpenIndex) -> None:
    """It leaves one view set and enters another in one step: a search beside that finds it, in the one or the other."""
    index = open_index()
    both, title = draft("turning", "both"), draft("turning", "title", {"title": VECTORS["title"]})
    index.put(both).result(20)
    for number in range(50):  # a third view set, which is searched between the two
        index.put(Draft(f"p{number}", None, {}, {"image": VECTORS["image"]})).result(20)
    done = threading.Event()

    def turn() -> None:
        for number in range(300):
            index.put((title, both)[number % 2]).result(20)
        done.set()

    def look() -> None:
        while not done.is_set():
            hits = index.search(VECTORS, k=1, floors=low)
            assert "turning" in {hit.posting.posting_id for hit in hits}

    together(turn, look, look)


def test_a_row_that_moves_during_a_search_is_not_missed() -> None:
    """Rows jump to the end when replaced and into gaps when others go; a search beside that finds each all the same."""
    rng = np.random.default_rng(5)
    sets = ViewSets({"title": 128}, {"title": 1.0})
    query = unit(rng, 128)
    resting = set(range(10_000, 10_010))
    sets.apply([placement(label, unit(rng, 128)) for label in range(10_000)], 0)
    sets.apply([placement(label, query) for label in resting], 0)
    done = threading.Event()

    def churn() -> None:
        for number in range(2_000):
            sets.apply([placement(10_000 + number % 10, query)], 0)  # it is the last row now
            sets.apply([Placement(number, b"", None)], 0)  # and fills this gap, near the front
            sets.apply([placement(number, -query)], 0)
        done.set()

    def look() -> None:
        nothing = np.empty(0, dtype=np.int64)
        while not done.is_set():
            with sets.reading() as (only,):
                found = only.nearest(Asked(query[None], frozenset({"title"}), -1.0), 10, None, nothing)
            assert resting == set(found.labels.tolist())

    together(churn, look)


def placement(label: int, vector: np.typing.NDArray[np.float32]) -> Placement:
    """Put a title's vector."""
    return Placement(label, b"title", vector.astype("<f2").tobytes())


def test_concurrent_writes_share_a_commit(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits while one group is being committed is committed together: 200 writes in far fewer commits."""
    index = open_index()
    commits: list[int] = []
    entered, go_on = threading.Event(), threading.Event()
    original = Store.commit

    def counted(store: Store) -> None:
        commits.append(1)
        entered.set()
        go_on.wait(10)
        original(store)

    monkeypatch.setattr(Store, "commit", counted)
    futures = [index.put(draft("first", "mug"))]
    entered.wait(10)
    futures += [index.put(draft(str(number), "mug")) for number in range(200)]
    go_on.set()
    assert all(future.result(10).created for future in futures)
    assert len(commits) == 2


def test_a_writer_waits_for_readers_and_goes_before_new_ones() -> None:
    """The lock's order: readers together, then the writer that waits, then the reader that came after it."""
    lock = ReadersWriterLock()
    steps: list[str] = []
    both_read, writer_waits = threading.Barrier(2), threading.Event()

    def read_first() -> None:
        with lock.reading():
            both_read.wait(10)
            writer_waits.wait(10)
            steps.append("read")

    def write() -> None:
        writer_waits.set()
        with lock.writing():
            steps.append("write")

    def read_late() -> None:
        with lock.reading():
            steps.append("late")

    threads = [threading.Thread(target=read_first)]
    threads[0].start()
    with lock.reading():
        both_read.wait(10)
        threads += [threading.Thread(target=write)]
        threads[1].start()
        writer_waits.wait(10)
        while not lock.writer_waits:
            pass
        threads += [threading.Thread(target=read_late)]
        threads[2].start()
        threads[0].join(10)
        threads[2].join(0.1)
        assert steps == ["read"]
    for thread in threads:
        thread.join(10)
    assert steps == ["read", "write", "late"]
