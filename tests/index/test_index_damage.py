"""Damage to the files of an index: found, named, never an answer."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import CannotOpen, CorruptRow, IndexFault, RevisionMismatch, RowsMissing
from index.index import Index
from index.postings import Draft, Patch, Precondition
from index.tuning import TUNING, Tuning
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, WEIGHTS, Known, brute_force, random_vectors

TINY = replace(TUNING, ivf_from=10, found=1.0, pause_s=3600.0, retry_s=0.0)
RNG = np.random.default_rng(12)
POSTINGS = {
    f"p{number:02}": Known(
        f"title {number}",
        {"shop": number % 3, "name": f"posting {number}"},
        random_vectors(RNG, ("image", "title") if number % 2 else ("title",), DIMENSIONS),
        f"{number:064x}" if number % 2 else None,
        f"picture {number}".encode() * 50 if number % 2 else None,
    )
    for number in range(30)
}
QUERY = random_vectors(RNG, ("image", "title"), DIMENSIONS)


def draft(name: str) -> Draft:
    known = POSTINGS[name]
    return Draft(name, known.title, known.metadata, known.vectors, known.image_digest, known.picture)


@pytest.fixture
def filled_dir(data_dir: Path, open_index: OpenIndex) -> Path:
    """A closed index of 30 postings."""
    index = open_index()
    for future in [index.put(draft(name)) for name in POSTINGS]:
        future.result(10)
    index.close()
    return data_dir


@contextmanager
def database(directory: Path, name: str = "postings.sqlite") -> Iterator[apsw.Connection]:
    """Go behind the index's back."""
    connection = apsw.Connection(str(directory / name))
    connection.set_busy_timeout(1000)
    try:
        yield connection
    finally:
        connection.close()


def flip(directory: Path, column: str, name: str, position: int = 0) -> None:
    """Flip the lowest bit of one byte of one column, with no regard to the checksum."""
    with database(directory) as connection:
        blob = connection.execute(f"SELECT {column} FROM posting WHERE posting_id = ?", (name.encode(),)).get
        damaged = bytearray(blob)
        damaged[position] ^= 1
        connection.execute(f"UPDATE posting SET {column} = ? WHERE posting_id = ?", (bytes(damaged), name.encode()))


def assert_serves(index: Index, names: set[str]) -> None:
    """Search, filtered search, scan and counts know exactly these postings, with the right values."""
    known = {name: POSTINGS[name] for name in names}
    for where in (None, {"shop": 1}):
        hits = index.search(QUERY, k=40, floors=lambda views: -1.0, where=where)
        expected = brute_force(known, QUERY, WEIGHTS, k=40, floors=lambda views: -1.0, where=where)
        assert [(hit.posting.posting_id, hit.score, dict(hit.scores)) for hit in hits] == expected
    listed = index.scan(after=None, limit=100)
    assert [posting.posting_id for posting in listed] == sorted(names)
    assert {posting.posting_id: posting.title for posting in listed} == {name: known[name].title for name in names}
    assert index.count() == len(names)


@pytest.mark.parametrize("column", ["vectors", "title", "metadata", "image_digest", "views", "checksum"])
@pytest.mark.parametrize("while_open", [False, True], ids=["at start", "while open"])
def test_a_damaged_row_is_quarantined(
    filled_dir: Path, open_index: OpenIndex, column: str, while_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever byte of a row flips, now or before a start: it is not served, is counted and logged, and get says so."""
    index = open_index() if while_open else None
    flip(filled_dir, column, "p07")
    index = index or open_index()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(CorruptRow, match="put the posting again, or delete it"):
                index.get("p07")
            assert_serves(index, set(POSTINGS) - {"p07"})
    assert index.quarantined() == 1
    assert len([record for record in caplog.records if "damaged" in record.message]) == 1


@pytest.mark.parametrize("column", ["label", "sequence", "created_us", "updated_us"])
def test_a_damaged_number_is_found_too(filled_dir: Path, open_index: OpenIndex, column: str) -> None:
    """Numbers are under the checksum as well; the start goes on without that row."""
    with database(filled_dir) as connection:
        connection.execute(f"UPDATE posting SET {column} = {column} + 1024 WHERE posting_id = ?", (b"p07",))
    index = open_index()
    assert_serves(index, set(POSTINGS) - {"p07"})
    index.delete("p07").result(10)
    index.close()
    assert_serves(open_index(), set(POSTINGS) - {"p07"})


def test_a_damaged_posting_can_be_put_again(filled_dir: Path, open_index: OpenIndex) -> None:
    """The same content heals it, and the books still agree at the next start."""
    flip(filled_dir, "vectors", "p07", 3)
    index = open_index()
    assert index.put(draft("p07")).result(10).changed
    assert index.quarantined() == 0
    assert_serves(index, set(POSTINGS))
    index.close()
    index = open_index()
    assert_serves(index, set(POSTINGS))
    assert index.picture("p07") == POSTINGS["p07"].picture


def test_a_damaged_posting_can_be_deleted(filled_dir: Path, open_index: OpenIndex) -> None:
    """Also while its metadata, and with them its tags, cannot be read."""
    flip(filled_dir, "metadata", "p07", 9)
    index = open_index()
    assert index.delete("p07").result(10)
    assert index.quarantined() == 0
    assert index.scan(after=None, limit=100, where={"name": "posting 7"}) == []
    index.close()
    assert_serves(open_index(), set(POSTINGS) - {"p07"})


def test_a_condition_on_a_damaged_posting_cannot_be_met(filled_dir: Path, open_index: OpenIndex) -> None:
    """There is no telling which revision it has, so conditional writes and patches fail with CorruptRow."""
    flip(filled_dir, "title", "p07")
    index = open_index()
    present = Precondition(must_exist=True)
    for write in (
        index.put(draft("p07"), present),
        index.delete("p07", present),
        index.patch(Patch("p07", metadata={})),
    ):
        with pytest.raises(CorruptRow):
            write.result(10)
    with pytest.raises(RevisionMismatch):
        index.put(draft("p08"), Precondition(must_not_exist=True)).result(10)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM posting WHERE posting_id = x'703037'",
        "DELETE FROM posting",
        "UPDATE ledger SET sequence = sequence - 1",
        "UPDATE ledger SET postings = postings + 1",
        "UPDATE ledger SET sequence_sum = sequence_sum + 1",
        "DELETE FROM ledger",
    ],
)
def test_rows_missing_refuse_the_start(filled_dir: Path, open_index: OpenIndex, tampering: str) -> None:
    """A row that was acknowledged and is gone, or a ledger that says otherwise: refused, and --accept-loss named."""
    with database(filled_dir) as connection:
        connection.execute(tampering)
        left = {row[0].decode() for row in connection.execute("SELECT posting_id FROM posting")}
    for _ in range(2):
        with pytest.raises(RowsMissing, match="--accept-loss"):
            open_index()
    index = open_index(accept_loss=True)
    assert_serves(index, left)
    assert index.put(Draft("new", None, {}, POSTINGS["p00"].vectors)).result(10).revision > len(POSTINGS)
    index.close()
    open_index()


def test_a_row_that_came_back_refuses_the_start(filled_dir: Path, open_index: OpenIndex) -> None:
    """An older self of a row, whole and with the right checksum, is not taken for the acknowledged one."""
    columns = (
        "label, posting_id, sequence, created_us, updated_us, title, metadata, image_digest, views, vectors, checksum"
    )
    with database(filled_dir) as connection:
        old = connection.execute(f"SELECT {columns} FROM posting WHERE posting_id = ?", (b"p07",)).get
    index = open_index()
    index.patch(Patch("p07", metadata={"shop": 99})).result(10)
    index.close()
    with database(filled_dir) as connection:
        connection.execute("DELETE FROM posting WHERE posting_id = ?", (b"p07",))
        connection.execute(f"INSERT INTO posting ({columns}) VALUES ({', '.join('?' * len(old))})", old)
    with pytest.raises(RowsMissing, match="lost or brought back"):
        open_index()


def test_a_lost_log_refuses_the_start(filled_dir: Path, open_index: OpenIndex, tmp_path: Path) -> None:
    """Writes that were only in the -wal file are missed, by the high-water mark."""
    index = open_index()
    index.delete("p07").result(10)
    shutil.copytree(filled_dir, tmp_path / "crashed")
    os.remove(tmp_path / "crashed" / "postings.sqlite-wal")
    with pytest.raises(RowsMissing, match="-wal file lost"):
        open_index(tmp_path / "crashed")
    assert_serves(open_index(tmp_path / "crashed", accept_loss=True), set(POSTINGS))


def test_a_lost_database_is_not_begun_anew(filled_dir: Path, open_index: OpenIndex, tmp_path: Path) -> None:
    """Without its main file the start is refused and the log left alone; with --accept-loss the index is empty."""
    index = open_index()
    index.delete("p07").result(10)
    crashed = tmp_path / "crashed"
    shutil.copytree(filled_dir, crashed)
    (crashed / "postings.sqlite").rename(tmp_path / "found again")
    log = (crashed / "postings.sqlite-wal").read_bytes()
    with pytest.raises(RowsMissing, match=r"no such file.*--accept-loss"):
        open_index(crashed)
    assert (crashed / "postings.sqlite-wal").read_bytes() == log
    (tmp_path / "found again").rename(crashed / "postings.sqlite")
    index = open_index(crashed)
    assert_serves(index, set(POSTINGS) - {"p07"})
    index.close()
    (crashed / "postings.sqlite").unlink()
    assert open_index(crashed, accept_loss=True).count() == 0


def test_a_flip_inside_the_log_is_never_an_answer(filled_dir: Path, open_index: OpenIndex, tmp_path: Path) -> None:
    """Wherever the log of a crashed process is damaged, the start is refused or knows everything acknowledged."""
    index = open_index()
    names = set(POSTINGS)
    for name in ("p01", "p02", "p03"):
        index.delete(name).result(10)
        names.discard(name)
    length = (filled_dir / "postings.sqlite-wal").stat().st_size
    refused = 0
    for position in range(0, length, length // 25):
        crashed = tmp_path / f"crashed{position}"
        shutil.copytree(filled_dir, crashed)
        flip_byte(crashed / "postings.sqlite-wal", position)
        try:
            index = open_index(crashed)
        except CannotOpen:
            refused += 1
            continue
        assert_serves(index, names)
        index.close()
    assert refused > 10


def test_a_log_cut_at_its_end_loses_nothing_acknowledged(
    filled_dir: Path, open_index: OpenIndex, tmp_path: Path
) -> None:
    """Cut anywhere, the log gives all that was acknowledged or the start is refused; with a torn tail it starts."""
    index = open_index()
    index.delete("p01").result(10)
    log = (filled_dir / "postings.sqlite-wal").read_bytes()
    for cut in (0, 1, 31, 32, 33, len(log) // 2, len(log) - 1):
        crashed = tmp_path / f"cut{cut}"
        shutil.copytree(filled_dir, crashed)
        (crashed / "postings.sqlite-wal").write_bytes(log[:cut])
        with pytest.raises(RowsMissing):
            open_index(crashed)
    torn = tmp_path / "torn"
    shutil.copytree(filled_dir, torn)
    (torn / "postings.sqlite-wal").write_bytes(log + log[32 : 32 + 3000])
    assert_serves(open_index(torn), set(POSTINGS) - {"p01"})


@pytest.mark.parametrize("content", [b"", b"junk", b"KMBRHW01" + bytes(12)])
def test_a_damaged_high_water_mark_is_made_anew(filled_dir: Path, open_index: OpenIndex, content: bytes) -> None:
    """It is the lesser witness: the start goes on, and the next loss is noticed again."""
    (filled_dir / "high-water").write_bytes(content)
    index = open_index()
    assert_serves(index, set(POSTINGS))
    index.close()
    assert (filled_dir / "high-water").read_bytes()[8:16] == len(POSTINGS).to_bytes(8, "little")


def test_an_older_copy_put_back_refuses_the_start(filled_dir: Path, open_index: OpenIndex, tmp_path: Path) -> None:
    """A database swapped with an older one is found by the mark that it does not reach."""
    shutil.copy(filled_dir / "postings.sqlite", tmp_path / "older")
    index = open_index()
    index.delete("p07").result(10)
    index.close()
    shutil.copy(tmp_path / "older", filled_dir / "postings.sqlite")
    with pytest.raises(RowsMissing):
        open_index()


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM tag WHERE label = 8",
        "UPDATE tag SET tag = '\"shop\":2' WHERE tag = '\"shop\":1' AND label = 8",
        "INSERT INTO tag VALUES ('\"shop\":1', 7)",
        "INSERT INTO tag VALUES ('\"shop\":1', 7000)",
    ],
)
def test_tags_that_disagree_with_the_rows_are_made_anew(
    filled_dir: Path, open_index: OpenIndex, tampering: str
) -> None:
    """A filter neither misses a posting nor finds a wrong one, and the second start has nothing to repair."""
    with database(filled_dir) as connection:
        connection.execute(tampering)
        assert connection.changes() > 0
    index = open_index()
    assert_serves(index, set(POSTINGS))
    index.close()
    with database(filled_dir) as connection:
        tags = connection.execute("SELECT count(*) FROM tag").get
    assert tags == 2 * len(POSTINGS)


def test_each_copy_of_an_id_may_be_damaged(filled_dir: Path, open_index: OpenIndex, tmp_path: Path) -> None:
    """In the row the posting is named as damaged and can be put again; in the index of ids nothing is lost at all."""
    content = (filled_dir / "postings.sqlite").read_bytes()
    places = [at for at in range(len(content)) if content.startswith(b"p07", at)]
    outcomes = []
    for at in places:
        damaged = tmp_path / f"damaged{at}"
        shutil.copytree(filled_dir, damaged)
        flip_byte(damaged / "postings.sqlite", at + 2, 0x40)
        outcomes.append(outcome_of(damaged))
        index = open_index(damaged)
        index.put(draft("p07")).result(10)
        assert_serves(index, set(POSTINGS))
        index.close()
        index = open_index(damaged)
        assert_serves(index, set(POSTINGS))
        index.close()
    assert sorted(outcomes) == ["quarantined", "right"]


@pytest.mark.parametrize("tuning", [TUNING, TINY], ids=["flat", "ivf"])
def test_flips_anywhere_in_the_database_are_never_an_answer(
    filled_dir: Path, open_index: OpenIndex, tmp_path: Path, tuning: Tuning
) -> None:
    """A byte changed anywhere in the file: refused, or the row is named and missing, or everything is right."""
    open_index(tuning=tuning).close()  # leaves snapshots, where there are any
    draws = np.random.default_rng(13)
    content = np.frombuffer((filled_dir / "postings.sqlite").read_bytes(), dtype=np.uint8)
    places = np.concatenate([np.arange(len(content)), np.repeat(np.flatnonzero(content), 3)])  # most of it is empty
    outcomes = {"refused": 0, "quarantined": 0, "right": 0}
    damaged = tmp_path / "damaged"
    for _ in range(150):
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(filled_dir, damaged)
        flip_byte(damaged / "postings.sqlite", int(draws.choice(places)), int(draws.integers(1, 256)))
        outcomes[outcome_of(damaged, tuning)] += 1
    assert min(outcomes["quarantined"], outcomes["right"]) > 5


def outcome_of(directory: Path, tuning: Tuning = TUNING) -> str:
    """Open a damaged copy and hold each answer to the truth."""
    try:
        index = Index.open(directory, encoder_id="sha256:one", dimensions=DIMENSIONS, weights=WEIGHTS, tuning=tuning)
    except IndexFault:
        return "refused"
    try:
        for _ in range(2):  # verify what a start took on trust, then make anew what was not as it seemed
            index._upkeep.look()
        if not index.health().verified:
            return "refused"
        lost = set()
        for name, known in POSTINGS.items():
            try:
                assert index.get(name).title == known.title
            except CorruptRow:
                lost.add(name)
        assert len(lost) == index.quarantined()
        assert_serves(index, set(POSTINGS) - lost)
        return "quarantined" if lost else "right"
    except IndexFault:
        return "refused"
    finally:
        index.close()


def flip_byte(file: Path, position: int, mask: int = 0xFF) -> None:
    with file.open("r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ mask]))
