"""A stopped index moves to other encoders: equal posting by posting to a fresh computation, whatever interrupts it."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from index.errors import DirectoryUnusable, EncoderMismatch, IndexLocked, RowsMissing, StorageFull
from index.postings import Draft, Patch
from index.reembed import FOLDER, Move, StoppedIndex
from index.store import Binding
from index.verify import Damage, check_directory
from tests.index.moving import (
    NEW,
    OLD,
    draft,
    embed,
    encoded,
    expected,
    fill,
    mortal_moves,
    move,
    opened,
    pictures_of,
    stored,
)
from tests.index.oracle import WEIGHTS, Known, brute_force

NUMBERS = range(12)
PICTURES = pictures_of(*map(draft, NUMBERS))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A closed index of twelve postings."""
    fill(tmp_path / "shop", NUMBERS)
    return tmp_path / "shop"


def is_moved(path: Path) -> bool:
    """Whether the directory serves the new encoders; it has to serve exactly one of the two."""
    try:
        opened(path, OLD).close()
    except EncoderMismatch:
        opened(path, NEW).close()
        return True
    with pytest.raises(EncoderMismatch, match="kembar reembed"):
        opened(path, NEW)
    return False


def run_sql(path: Path, statement: str) -> None:
    """Go behind the index's back."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statement)


def test_a_moved_index_equals_a_fresh_computation(shop: Path) -> None:
    """Ids, revisions, times, titles, metadata, pictures stay, vectors are the new ones, and search is brute force."""
    before, pictures = stored(shop, OLD), (shop / "pictures.sqlite").read_bytes()

    survey = move(shop)

    after = stored(shop, NEW)
    assert after == expected(before, PICTURES)
    assert (len(survey.to_move), survey.without_picture, survey.left_out) == (12, 0, [])
    assert (shop / "pictures.sqlite").read_bytes() == pictures
    assert check_directory(shop).findings == ()
    known = {
        one.posting_id: Known(one.title, one.metadata, embed(NEW, one.title, one.picture))
        for one in map(draft, NUMBERS)
    }
    query = embed(NEW, "mug 2, 0", b"picture 0 0")
    with closing(opened(shop, NEW)) as index:
        for where in ({}, {"n": 3}):
            hits = index.search(query, k=4, floors=lambda views: 0.0, where=where)
            found = [(hit.posting.posting_id, hit.score) for hit in hits]
            oracle = brute_force(known, query, WEIGHTS, k=4, floors=lambda views: 0.0, where=where)
            assert found == [(posting_id, score) for posting_id, score, _ in oracle]
        assert index.picture("p02") == b"picture 0 0"
        written = index.put(Draft("new", "mug", {}, embed(NEW, "mug", None))).result(10)
        assert written.revision == max(revision for revision, *_ in before.values()) + 1


def test_killed_at_any_step_the_old_bundle_or_the_new_one_serves(tmp_path: Path) -> None:
    """Never neither, never a mixture; a second run comes to the same end, and the log goes before the switch."""
    shop = tmp_path / "shop"
    fill(shop, range(4))
    with closing(opened(shop, OLD)) as index:
        index.put(draft(0, version=1)).result(10)
        crashed = shutil.copytree(shop, tmp_path / "crashed")  # with a log that the database needs
    before = stored(shop, OLD)
    after = expected(before, pictures_of(*map(draft, range(4)), draft(0, version=1)))
    with mortal_moves() as mortal:
        for step in range(99):
            place = shutil.copytree(crashed, tmp_path / str(step))
            if names := mortal(place, step, None):
                break
            if not is_moved(place):
                assert stored(place, OLD) == before
                move(place)
            assert stored(place, NEW) == after
            assert {one.damage for one in check_directory(place).findings} <= {Damage.UNFINISHED}
    assert names[-11:] == [
        *["write_ledger", "checkpoint", "checkpoint", "unlink", "unlink"],
        *["sync postings.sqlite", "sync reembed", f"sync {step}", "replace", f"sync {step}", "rmtree"],
    ]


def write_in_between(path: Path) -> dict[str, bytes]:
    """A day of service: titles and pictures change, postings go, come, and come back under their old id."""
    changed = [draft(number, version=1) for number in (0, 3, 13)]
    with closing(opened(path, OLD)) as index:
        for one in changed:
            index.put(one).result(10)
        index.patch(Patch("p01", "cup", {"title": embed(OLD, "cup", None)["title"]})).result(10)
        index.patch(Patch("p04", metadata={"n": "four"})).result(10)
        for posting_id in ("p02", "p05"):
            index.delete(posting_id).result(10)
        index.put(draft(2)).result(10)
    return PICTURES | pictures_of(*changed)


def test_what_changed_in_between_is_moved_as_it_is_now(shop: Path) -> None:
    """Between two runs the service wrote: rows that changed are made anew, deleted ones vanish, others are kept."""
    move(shop, most=8)
    pictures = write_in_between(shop)
    before = stored(shop, OLD)

    survey = move(shop)

    assert (len(survey.moved_before), len(survey.to_move)) == (2, 10)  # of p00 to p07 only p06 and p07 are the same
    assert stored(shop, NEW) == expected(before, pictures)
    assert check_directory(shop).findings == ()


def to_other_encoders(path: Path) -> None:
    move(path, Binding("sha256:three", NEW.dimensions), most=8)


def no_database(path: Path) -> None:
    (path / FOLDER / "postings.sqlite").write_bytes(b"no database" * 999)


def only_a_log(path: Path) -> None:
    (path / FOLDER / "postings.sqlite").replace(path / FOLDER / "postings.sqlite-wal")


LEFT: dict[str, tuple[Callable[[Path], None], int]] = {
    "whole": (lambda path: None, 8),
    "other encoders": (to_other_encoders, 0),
    "no database": (no_database, 0),
    "only a log": (only_a_log, 0),
    "a damaged row": (
        lambda path: run_sql(path / FOLDER / "postings.sqlite", "UPDATE posting SET title = x'00' WHERE label = 3"),
        7,
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not_fit_is_made_anew(shop: Path, name: str) -> None:
    """A leftover of other encoders, or a damaged one, costs time and nothing else."""
    spoil, kept = LEFT[name]
    before = stored(shop, OLD)
    move(shop, most=8)
    assert {one.damage for one in check_directory(shop).findings} == {Damage.UNFINISHED}
    spoil(shop)

    survey = move(shop)

    assert len(survey.moved_before) == kept
    assert stored(shop, NEW) == expected(before, PICTURES)


def test_postings_without_a_stored_picture(shop: Path) -> None:
    """With a title it keeps that, and no digest of a picture; without one it is named, and left out of the books."""
    gone, damaged = (str(draft(number).image_digest) for number in (0, 8))  # of 0, 2, 3, 4, 6, 7 and of 8, 10, 11
    before = stored(shop, OLD)
    run_sql(shop / "pictures.sqlite", f"DELETE FROM picture WHERE image_digest = x'{gone}'")
    run_sql(shop / "pictures.sqlite", f"UPDATE picture SET picture = x'00' WHERE image_digest = x'{damaged}'")

    survey = move(shop)

    reason = "no title and no stored picture"
    assert survey.left_out == [("p03", reason), ("p07", reason), ("p11", reason)]
    assert survey.without_picture == 6
    assert stored(shop, NEW) == expected(before, {})
    assert Damage.ROWS_MISSING not in {one.damage for one in check_directory(shop).findings}


def test_a_picture_that_is_back_is_used(shop: Path) -> None:
    """A posting that was moved without its picture is moved again once the picture is there."""
    before = stored(shop, OLD)
    shutil.move(shop / "pictures.sqlite", shop / "elsewhere")
    assert move(shop, most=9).without_picture == 6
    shutil.move(shop / "elsewhere", shop / "pictures.sqlite")

    survey = move(shop)

    assert len(survey.moved_before) == 3  # those that have a title only
    assert stored(shop, NEW) == expected(before, PICTURES)


def test_damaged_rows_are_named_and_missing_ones_refused(shop: Path) -> None:
    """A row that does not match its checksum can be left out; acknowledged rows that are gone stop everything."""
    before = stored(shop, OLD)
    run_sql(shop / "postings.sqlite", "UPDATE posting SET vectors = x'00', sequence = -9 WHERE label = 6")
    assert move(shop, most=4).left_out == [("p05", "row is damaged")]
    run_sql(shop / "postings.sqlite", "DELETE FROM posting WHERE label = 7")
    with pytest.raises(RowsMissing, match="expected 12 postings"):
        move(shop)
    run_sql(shop / "postings.sqlite", "UPDATE ledger SET postings = 11")

    move(shop)

    del before["p05"], before["p06"]
    assert stored(shop, NEW) == expected(before, PICTURES)
    assert check_directory(shop).findings == ()


def test_a_row_that_the_index_of_ids_has_lost_is_moved_too(shop: Path) -> None:
    """What is moved is what the rows say, not what SQLite finds faster elsewhere."""
    before = stored(shop, OLD)
    whole, part = "CREATE UNIQUE INDEX posting_by_id ON posting (posting_id)", "WHERE label <> 3"
    run_sql(shop / "postings.sqlite", f"DROP INDEX posting_by_id; {whole} {part}")
    forge = f"UPDATE sqlite_schema SET sql = '{whole}' WHERE name = 'posting_by_id'"
    run_sql(shop / "postings.sqlite", f"PRAGMA writable_schema = ON; {forge}")

    move(shop)

    assert stored(shop, NEW) == expected(before, PICTURES)
    assert check_directory(shop).findings == ()


def test_a_full_disk_keeps_what_was_moved(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is too small is refused before anything is encoded; one that fills up later is gone on with."""
    fill(shop, range(12, 90))
    before = stored(shop, OLD)
    with closing(StoppedIndex(shop, lambda picture: True)) as source, closing(Move(source, NEW)) as moving:
        survey = moving.survey(source.labels())
        moving.require_room(90)
        with monkeypatch.context() as patched:
            patched.setattr(os, "statvfs", lambda path: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)))
            with pytest.raises(StorageFull, match="MB free for the new vectors"):
                moving.require_room(90)
        new = [(one, encoded(one, NEW)) for one in map(source.original, survey.to_move)]
        moving.add(new[:5])
        connection = moving._store.connection
        connection.pragma("max_page_count", connection.pragma("page_count"))
        with pytest.raises(StorageFull, match="no room"):
            moving.add(new[5:])
    assert not is_moved(shop)
    assert len(move(shop).moved_before) == 5
    assert stored(shop, NEW) == expected(before, pictures_of(*map(draft, range(90))))


def test_a_directory_in_use_or_without_an_index(shop: Path, tmp_path: Path) -> None:
    """A running service is named by its process; while a move owns the directory no service starts."""
    with closing(opened(shop, OLD)), pytest.raises(IndexLocked, match=f"process {os.getpid()}"):
        move(shop)
    with closing(StoppedIndex(shop, lambda picture: True)), pytest.raises(IndexLocked):
        opened(shop, OLD)
    with pytest.raises(DirectoryUnusable, match="holds no index"):
        move(tmp_path)
    assert not (tmp_path / "postings.sqlite").exists()
