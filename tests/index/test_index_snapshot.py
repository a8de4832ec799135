"""Snapshots of inverted files: a start from one knows everything, and no damage to one is ever an answer."""

import errno
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import apsw
import numpy as np
import pytest

from index import resuming
from index.errors import CorruptRow, UnknownPosting
from index.index import Index
from index.ivf import IvfSet
from index.pictures import Pictures
from index.postings import Draft
from index.snapshot import snapshot_path
from index.verify import Damage, check_directory
from tests.index.conftest import OpenIndex
from tests.index.oracle import Known, random_vectors
from tests.index.test_index_damage import database, flip
from tests.index.test_index_ivf import ALL, TINY, assert_exact
from tests.index.test_index_search import WEIGHTS, WIDE, catalogue, fill

Reopen = Callable[..., Index]


@pytest.fixture
def reopen(open_index: OpenIndex) -> Reopen:
    """Open a directory with tiny inverted files."""

    def open_(path: Path, **others: object) -> Index:
        given = {"dimensions": WIDE, "weights": WEIGHTS, "tuning": TINY, **others}
        return open_index(path, **given)

    return open_


@pytest.fixture
def postings() -> dict[str, Known]:
    """A catalogue of 300, a third of each view set."""
    return catalogue(300, seed=11)


@pytest.fixture
def saved_dir(data_dir: Path, reopen: Reopen, postings: dict[str, Known]) -> Path:
    """A closed index with a snapshot of each view set."""
    index = reopen(data_dir)
    fill(index, postings)
    index._upkeep.look()
    index.close()
    return data_dir


def from_snapshot(index: Index) -> bool:
    """Whether the start took the snapshots and left the rows to be verified later."""
    return not index.health().verified


def change(index: Index, postings: dict[str, Known], seed: int) -> None:
    """Delete, replace and add some postings."""
    rng = np.random.default_rng(seed)
    for number, name in enumerate(rng.choice(list(postings), 40, replace=False)):
        if number % 2:
            index.delete(name).result(10)
            del postings[name]
        else:
            views = (("image", "title"), ("image",), ("title",))[int(rng.integers(3))]
            postings[name] = Known(None, {"shop": number % 4}, random_vectors(rng, views, WIDE))
            index.put(Draft(name, f"new {seed}", postings[name].metadata, postings[name].vectors)).result(10)
    added = {f"{seed} {name}": known for name, known in catalogue(20, seed).items()}
    fill(index, added)
    postings |= added


def test_a_start_takes_the_snapshot_and_the_rows_after_it(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], tmp_path: Path
) -> None:
    """After a clean close, and after crashes with more and more writes behind the file."""
    index = reopen(saved_dir)
    assert from_snapshot(index)
    assert_exact(index, postings)
    for crash in range(3):
        change(index, postings, seed=crash)
        shutil.copytree(saved_dir, tmp_path / str(crash))
        index.close()
        saved_dir = tmp_path / str(crash)
        index = reopen(saved_dir)
        assert from_snapshot(index)
        assert_exact(index, postings)
        assert sum(index.counts().values()) == len(postings)


def test_a_snapshot_written_while_postings_change_is_exact(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postings go, come and move from list to list between the lists: the next start knows each once, as it is."""
    index = reopen(saved_dir)
    original = IvfSet.list_entries

    def interrupted(stored: IvfSet, number: int) -> object:
        if number % 5 == 2:
            writing.append(number)
        return original(stored, number)

    writing: list[int] = []
    reading = index._parts.sets.reading

    def between() -> object:
        if writing:
            change(index, postings, seed=writing.pop())
        return reading()

    with monkeypatch.context() as patching:
        patching.setattr(IvfSet, "list_entries", interrupted)
        patching.setattr(index._parts.sets, "reading", between)
        index._upkeep.write_snapshot(ALL)
    shutil.copytree(saved_dir, tmp_path / "crashed")
    crashed = reopen(tmp_path / "crashed")
    assert from_snapshot(crashed)
    assert_exact(crashed, postings)
    assert sum(crashed.counts().values()) == len(postings)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "head only": lambda content: content[:52],
    "cut": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"\x00",
    "zeroed": lambda content: bytes(len(content)),
    "zeros inside": lambda content: content[:3000] + bytes(200) + content[3200:],
    "other version": lambda content: b"KMBRIVF2" + content[8:],
    "junk": lambda content: b"this is no snapshot" * 99,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_snapshot_is_made_anew(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, all rows are read instead, the file goes; `kembar check` tells."""
    file = snapshot_path(saved_dir, ALL)
    file.write_bytes(DAMAGES[name](file.read_bytes()))
    assert {finding.damage for finding in check_directory(saved_dir).findings} == {Damage.DERIVED}
    with caplog.at_level(logging.WARNING):
        index = reopen(saved_dir)
    assert not from_snapshot(index)
    assert len([record for record in caplog.records if "snapshot" in record.message]) == 1
    assert_exact(index, postings)
    index.close()
    assert check_directory(saved_dir).findings == ()
    index = reopen(saved_dir)
    assert from_snapshot(index)
    assert_exact(index, postings)


def test_no_flip_in_a_snapshot_is_an_answer(saved_dir: Path, reopen: Reopen, postings: dict[str, Known]) -> None:
    """A byte changed anywhere in the file is noticed."""
    file = snapshot_path(saved_dir, ALL)
    content = file.read_bytes()
    rng = np.random.default_rng(14)
    for position in [*range(60), *rng.integers(len(content), size=60).tolist()]:
        damaged = bytearray(content)
        damaged[position] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        with pytest.raises(resuming.SnapshotUnusable):
            restore(saved_dir)
    file.write_bytes(content)
    restore(saved_dir)


def restore(directory: Path) -> None:
    """Take the snapshot of the postings that have both views, as a start does."""
    connection = apsw.Connection(str(directory / "postings.sqlite"))
    try:
        identity = resuming.Identity("sha256:one", WIDE, WEIGHTS)
        table, quarantine = resuming.Table(connection), resuming.Quarantine()
        sets = resuming.ViewSets(WIDE, WEIGHTS)
        resuming.restore(directory, table, quarantine, ALL, sets.fusion(ALL), identity)
    finally:
        connection.close()


def test_an_older_snapshot_put_back_is_as_good(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], tmp_path: Path
) -> None:
    """What was written since comes from the rows."""
    file = snapshot_path(saved_dir, ALL)
    shutil.copy(file, tmp_path / "older")
    index = reopen(saved_dir)
    change(index, postings, seed=5)
    index._upkeep.write_snapshot(ALL)
    change(index, postings, seed=6)
    index.close()
    shutil.copy(tmp_path / "older", file)
    index = reopen(saved_dir)
    assert from_snapshot(index)
    assert_exact(index, postings)


def test_a_snapshot_that_does_not_fit_is_not_taken(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], tmp_path: Path
) -> None:
    """One of other weights, or newer than the database, as after a backup was restored without its snapshots."""
    backup = tmp_path / "backup"
    shutil.copytree(saved_dir, backup)
    index = reopen(saved_dir)
    change(index, dict(postings), seed=5)
    index._upkeep.write_snapshot(ALL)
    index.close()
    newer = snapshot_path(saved_dir, ALL)
    shutil.copy(newer, snapshot_path(backup, ALL))
    index = reopen(backup)
    assert not from_snapshot(index)
    assert_exact(index, postings)
    index.close()
    index = reopen(backup, weights={"image": 0.5, "title": 0.5})
    assert not from_snapshot(index)
    index.close()
    snapshot_path(backup, b"image").rename(snapshot_path(backup, b"title"))
    index = reopen(backup, weights={"image": 0.5, "title": 0.5})
    assert not from_snapshot(index)


def test_after_accepted_losses_no_snapshot_is_taken(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known]
) -> None:
    """It may have what the table had before."""
    index = reopen(saved_dir, accept_loss=True)
    assert not from_snapshot(index)
    assert_exact(index, postings)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_snapshot_that_cannot_be_written_is_tried_again(
    saved_dir: Path,
    reopen: Reopen,
    postings: dict[str, Known],
    error: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged and counted; the older file stays, nothing unfinished is left, and serving goes on."""
    index = reopen(saved_dir, tuning=replace(TINY, snapshot_behind=0, snapshot_share=0.0))
    index._upkeep.examine()
    change(index, postings, seed=1)
    before = snapshot_path(saved_dir, ALL).read_bytes()

    def refused(_: int) -> None:
        raise OSError(error, "no")

    with monkeypatch.context() as patching:
        patching.setattr("index.snapshot.os.fsync", refused)
        index._upkeep.look()
    assert index.health().snapshots_failed == 3
    assert snapshot_path(saved_dir, ALL).read_bytes() == before
    assert list(saved_dir.glob("*unfinished")) == []
    assert len([record for record in caplog.records if "tried again" in record.message]) == 3
    assert_exact(index, postings)
    index._upkeep.look()
    assert index.health().snapshots_done == 3
    assert index.health().sets["image+title"].rows_behind == 0


def test_rows_taken_on_trust_are_verified_in_the_background(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known]
) -> None:
    """Tags are made anew, pictures that nobody has are removed, and a damaged row is quarantined."""
    with database(saved_dir) as connection:
        connection.execute("DELETE FROM tag WHERE label % 3 = 0")
    pictures = Pictures(saved_dir)
    pictures.keep({b"unused": b"jpeg"})
    pictures.close()
    index = reopen(saved_dir)
    assert from_snapshot(index)
    index._upkeep.look()
    assert index.health().verified
    assert_exact(index, postings)
    index.close()
    with database(saved_dir, "pictures.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM picture").get == 0
    flip(saved_dir, "vectors", "p3", 5)
    left = {name: known for name, known in postings.items() if name != "p3"}
    for _ in range(2):
        index = reopen(saved_dir)
        assert from_snapshot(index)
        assert_exact(index, left)  # whatever a search reads is verified
        index._upkeep.look()
        assert index.quarantined() == 1
        with pytest.raises(CorruptRow):
            index.get("p3")
        assert sum(index.counts().values()) == len(left)
        index._upkeep.build(ALL)
        index.close()


def test_a_deleted_posting_never_comes_back(saved_dir: Path, reopen: Reopen, tmp_path: Path) -> None:
    """Deleted after the snapshot, and the process killed: the start from the snapshot does not know it."""
    index = reopen(saved_dir)
    vectors = index.get("p0").vectors
    index.delete("p0").result(10)
    shutil.copytree(saved_dir, tmp_path / "crashed")
    crashed = reopen(tmp_path / "crashed")
    assert from_snapshot(crashed)
    with pytest.raises(UnknownPosting):
        crashed.get("p0")
    hits = crashed.search(vectors, k=300, floors=lambda views: -1.0)
    assert "p0" not in {hit.posting.posting_id for hit in hits}


def test_a_row_that_a_snapshot_lacks_is_read(
    saved_dir: Path, reopen: Reopen, postings: dict[str, Known], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that could not be read when the set was built, and can be read again."""
    index = reopen(saved_dir)
    original = IvfSet.list_entries

    def without_first(stored: IvfSet, number: int) -> object:
        labels, codes = original(stored, number)
        return labels[1:], codes[1:]

    with monkeypatch.context() as patching:
        patching.setattr(IvfSet, "list_entries", without_first)
        index._upkeep.write_snapshot(ALL)
    index.close()
    index = reopen(saved_dir)
    assert from_snapshot(index)
    assert_exact(index, postings)
    assert sum(index.counts().values()) == len(postings)
