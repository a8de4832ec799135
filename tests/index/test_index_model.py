"""The index against a dictionary and brute force, through any order of writes, restarts and crashes."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index import snapshot, upkeep
from index.errors import PictureNotKept, UnknownPosting
from index.highwater import HighWater
from index.index import Index
from index.ivf import IvfSet
from index.pictures import Pictures
from index.postings import Draft, JsonValue, Patch, Scalar
from index.store import Store
from index.tuning import TUNING
from index.viewsets import Exchange, ViewSets
from tests.index.oracle import DIMENSIONS, WEIGHTS, Known, Vectors, brute_force, carries, patched, unit

_RNG = np.random.default_rng(2)
# Few vectors, so that many postings tie; the last is nearly the first, closer than float16 tells in some places.
IMAGES = [unit(_RNG, DIMENSIONS["image"]) for _ in range(4)]
TITLES = [unit(_RNG, DIMENSIONS["title"]) for _ in range(3)]
IMAGES.append((IMAGES[0] + np.float32(3e-4)) / np.linalg.norm(IMAGES[0] + np.float32(3e-4)))
IDS = ["a", "A", "b", "zz", "\u00e9", "e\u0301", "\U0001f9f4", "\uffee", "x\x00y"]
METADATA: list[dict[str, JsonValue]] = [
    {},
    {"shop": 1},
    {"shop": 1.0, "size": "500 ml"},
    {"shop": True},
    {"shop": "1", "size": None},
    {"shop": [1], "deep": {"shop": 1}, "\U0001f9f4": 0.1},
]
FILTERS: list[dict[str, Scalar]] = [
    {"shop": 1},
    {"shop": True},
    {"shop": "1", "size": None},
    {"size": "500 ml", "shop": 1},
    {"shop": 2},
    {"\U0001f9f4": 0.1},
]
ids = st.sampled_from(IDS)
metadatas = st.sampled_from(METADATA)
titles = st.sampled_from(["mug", "MUG", "مرحبا", "\U0001f9f4" * 3, "nul\x00inside", ""])
images = st.sampled_from(range(len(IMAGES)))
title_vectors = st.sampled_from(range(len(TITLES)))
queries = st.tuples(st.none() | images, st.none() | title_vectors).filter(lambda views: views != (None, None))


def vectors_of(image: int | None, title: int | None) -> Vectors:
    """The vectors of the drawn numbers."""
    chosen = {"image": None if image is None else IMAGES[image], "title": None if title is None else TITLES[title]}
    return {view: vector for view, vector in chosen.items() if vector is not None}


@st.composite
def postings(draw: st.DrawFn) -> Known:
    """A posting with a picture, a title or both."""
    image, title_vector = draw(queries)
    title = None if title_vector is None else draw(titles)
    picture = None if image is None else draw(st.sampled_from([None, b"picture"]))
    digest = None if image is None else f"{image:064x}"
    return Known(title, draw(metadatas), vectors_of(image, title_vector), digest, picture)


# Where a process may die inside a write, and whether the write is then there at the next start.
MOMENTS: dict[str, tuple[type[Any], str, bool]] = {
    "before pictures": (Pictures, "keep", False),
    "before commit": (Store, "commit", False),
    "before high-water": (HighWater, "write", True),
    "before FAISS": (ViewSets, "apply", True),
}


# The same for the work in the background, which changes nothing that a caller sees.
UPKEEP_MOMENTS: dict[str, tuple[Any, str]] = {
    "before the rows after a snapshot are read": (upkeep, "restore"),
    "before what changed meanwhile is brought over": (Exchange, "catch_up"),
    "before the swap": (Exchange, "swap"),
    "inside a snapshot": (IvfSet, "list_entries"),
    "after a snapshot's rename": (snapshot, "sync_path"),
}
# Inverted files from three postings on. All lists are looked at, so answers are exact.
TINY = replace(TUNING, ivf_from=3, found=1.0, pause_s=3600.0, retry_s=0.0)


class IndexMachine(RuleBasedStateMachine):
    """Each rule does the same to the index and to a dictionary, and compares."""

    @initialize()
    def start(self) -> None:
        # Thousands of commits: what reaches the disk is another test's matter, so memory will do where there is some.
        self.root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None, prefix="kembar-"))
        self.path = self.root / "0"
        self.weights: Mapping[str, float] = WEIGHTS
        self.known: dict[str, Known] = {}
        self.stored_pictures: dict[str, bytes] = {}
        self.index = self.opened()

    def opened(self) -> Index:
        return Index.open(self.path, encoder_id="one", dimensions=DIMENSIONS, weights=self.weights, tuning=TINY)

    @rule(posting_id=ids, posting=postings())
    def put(self, posting_id: str, posting: Known) -> None:
        written = self.index.put(draft(posting_id, posting)).result(10)
        assert (written.created, written.changed) == self.remember(posting_id, posting)

    @rule(posting_id=ids, title=st.none() | titles, vector=title_vectors, metadata=st.none() | metadatas)
    def patch(self, posting_id: str, title: str | None, vector: int, metadata: Mapping[str, JsonValue] | None) -> None:
        title_vector = None if title is None else TITLES[vector]
        future = self.index.patch(
            Patch(posting_id, title, {} if title_vector is None else {"title": title_vector}, metadata=metadata)
        )
        if posting_id not in self.known:
            with pytest.raises(UnknownPosting):
                future.result(10)
            return
        before = self.known[posting_id]
        self.known[posting_id] = after = patched(before, title, title_vector, metadata)
        assert future.result(10).changed == (not same(before, after))

    @rule(posting_id=ids)
    def delete(self, posting_id: str) -> None:
        assert self.index.delete(posting_id).result(10) == self.forget(posting_id)

    @rule(posting_id=ids)
    def get(self, posting_id: str) -> None:
        if posting_id not in self.known:
            with pytest.raises(UnknownPosting):
                self.index.get(posting_id)
            return
        assert_is(self.index.get(posting_id), self.known[posting_id])
        digest = self.known[posting_id].image_digest
        if digest in self.stored_pictures:
            assert self.index.picture(posting_id) == self.stored_pictures[digest]
        else:
            with pytest.raises(PictureNotKept):
                self.index.picture(posting_id)

    @rule(
        query=queries,
        k=st.integers(1, 6),
        floor=st.sampled_from([-1.0, 0.2, 0.8, 1.0]),
        where=st.none() | st.sampled_from(FILTERS),
        exclude=st.sets(ids, max_size=3),
    )
    def search(
        self,
        query: tuple[int | None, int | None],
        k: int,
        floor: float,
        where: Mapping[str, Scalar] | None,
        exclude: set[str],
    ) -> None:
        vectors = vectors_of(*query)
        # A floor per set of shared views, as thresholds are.
        floors: Callable[[frozenset[str]], float] = lambda views: floor - 0.1 * len(views)  # noqa: E731
        hits = self.index.search(vectors, k=k, floors=floors, where=where, exclude=exclude)
        expected = brute_force(self.known, vectors, self.weights, k=k, floors=floors, where=where, exclude=exclude)
        assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in hits] == expected
        for hit in hits:
            assert_is(hit.posting, self.known[hit.posting.posting_id])

    @rule(after=st.none() | ids, limit=st.integers(1, 10), where=st.none() | st.sampled_from(FILTERS))
    def scan(self, after: str | None, limit: int, where: Mapping[str, Scalar] | None) -> None:
        listed = self.index.scan(after=after, limit=limit, where=where)
        passed = {known for known in self.known if carries(self.known[known].metadata, where or {})}
        later = sorted((known for known in passed if after is None or known.encode() > after.encode()), key=str.encode)
        assert [posting.posting_id for posting in listed] == later[:limit]

    @rule(weights=st.sampled_from([WEIGHTS, {"image": 1.0, "title": 3.0}, {"image": 0.999, "title": 0.001}]))
    def reopen(self, weights: Mapping[str, float]) -> None:
        self.index.close()
        self.weights = weights
        self.index = self.opened()

    @rule()
    def crash(self) -> None:
        self.path = self.photograph()
        self.index.close()
        self.index = self.opened()

    @rule(posting_id=ids, posting=st.none() | postings(), moment=st.sampled_from(sorted(MOMENTS)))
    def crash_inside_a_write(self, posting_id: str, posting: Known | None, moment: str) -> None:
        copies: list[Path] = []
        with interrupted(moment, lambda: copies.append(self.photograph())):
            if posting is None:
                self.index.delete(posting_id).result(10)
            else:
                self.index.put(draft(posting_id, posting)).result(10)
        if not copies or MOMENTS[moment][2]:  # the write changed nothing, or was committed before the moment
            self.remember(posting_id, posting) if posting else self.forget(posting_id)
        elif posting is not None and moment == "before commit":
            self.keep_picture(posting)  # it came first, and stays if another posting has the same one
        if copies:
            self.index.close()
            self.path = copies[0]
            self.index = self.opened()

    @rule()
    def look_after(self) -> None:
        self.index._upkeep.look()
        assert self.index.health().verified
        self.assert_upkeep_is_well()

    @rule()
    def retrain(self) -> None:
        for views in list(self.index._parts.sets.current()):
            self.index._upkeep.build(views)

    @rule()
    def write_snapshots(self) -> None:
        for views in list(self.index._parts.sets.current()):
            self.index._upkeep.write_snapshot(views)

    @rule(moment=st.sampled_from(sorted(UPKEEP_MOMENTS)), posting_id=ids, posting=st.none() | postings())
    def write_inside_upkeep(self, moment: str, posting_id: str, posting: Known | None) -> None:
        write = partial(self.put, posting_id, posting) if posting else partial(self.delete, posting_id)
        with once_at(*UPKEEP_MOMENTS[moment if moment != "inside a snapshot" else "before the swap"], write):
            self.retrain()
            self.write_snapshots()

    @rule(moment=st.sampled_from(sorted(UPKEEP_MOMENTS)))
    def crash_inside_upkeep(self, moment: str) -> None:
        copies: list[Path] = []
        with once_at(*UPKEEP_MOMENTS[moment], lambda: copies.append(self.photograph())):
            self.retrain()
            self.write_snapshots()
        if copies:
            self.index.close()
            self.path = copies[0]
            self.index = self.opened()

    def assert_upkeep_is_well(self) -> None:
        """Nothing was given up on the way."""
        health = self.index.health()
        assert (health.builds_failed, health.snapshots_failed) == (0, 0)

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "index"):
            return
        counts: dict[str, int] = {}
        for posting in self.known.values():
            views = "+".join(sorted(posting.vectors))
            counts[views] = counts.get(views, 0) + 1
        assert self.index.counts() == counts
        assert self.index.quarantined() == 0

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()
            shutil.rmtree(self.root)

    def photograph(self) -> Path:
        """Copy the directory as it is, which is what a process that dies now leaves."""
        copy = Path(tempfile.mkdtemp(dir=self.root)) / "copy"
        shutil.copytree(self.path, copy)
        return copy

    def remember(self, posting_id: str, posting: Known) -> tuple[bool, bool]:
        """Put into the dictionary; returns whether that created and whether it changed anything."""
        before = self.known.get(posting_id)
        changed = before is None or not same(before, posting)
        if changed:
            self.known[posting_id] = posting
        self.keep_picture(posting)
        return before is None, changed

    def forget(self, posting_id: str) -> bool:
        """Delete from the dictionary; returns whether it was there."""
        was_there = self.known.pop(posting_id, None) is not None
        self.drop_pictures()
        return was_there

    def keep_picture(self, posting: Known) -> None:
        if posting.picture is not None and posting.image_digest is not None:
            self.stored_pictures[posting.image_digest] = posting.picture
        self.drop_pictures()

    def drop_pictures(self) -> None:
        used = {posting.image_digest for posting in self.known.values()}
        self.stored_pictures = {digest: data for digest, data in self.stored_pictures.items() if digest in used}


@contextmanager
def interrupted(moment: str, photograph: Callable[[], None]) -> Iterator[None]:
    """Take one photograph of the directory inside the writer thread, when it comes to this moment."""
    owner, name, _ = MOMENTS[moment]
    with once_at(owner, name, photograph):
        yield


@contextmanager
def once_at(owner: Any, name: str, act: Callable[[], None]) -> Iterator[None]:
    """Do something once, before this function of a class or module is called the next time."""
    original = getattr(owner, name)
    waiting = [act]

    def wrapper(*arguments: object) -> object:
        if waiting:
            waiting.pop()()
        return original(*arguments)

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(owner, name, wrapper)
        yield


def draft(posting_id: str, posting: Known) -> Draft:
    return Draft(posting_id, posting.title, posting.metadata, posting.vectors, posting.image_digest, posting.picture)


def same(a: Known, b: Known) -> bool:
    """Whether a put of `b` over `a` changes nothing: vectors follow from content and do not count."""
    return (a.title, repr(a.metadata), a.image_digest, set(a.vectors)) == (
        b.title,
        repr(b.metadata),
        b.image_digest,
        set(b.vectors),
    )


def assert_is(posting: Any, known: Known) -> None:
    """Title and metadata exactly, types included; vectors as rounded once."""
    assert posting.title == known.title
    assert repr(posting.metadata) == repr(dict(known.metadata))
    assert posting.image_digest == known.image_digest
    assert posting.views == tuple(sorted(known.vectors))
    for view, vector in known.vectors.items():
        np.testing.assert_array_equal(posting.vectors[view], vector.astype(np.float16))


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
