"""What `kembar check` is told about a data directory."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import DatabaseDamaged, DirectoryUnusable, IndexLocked, SchemaTooNew
from index.highwater import HighWater
from index.pictures import Pictures
from index.postings import Draft
from index.verify import CheckReport, Damage, check_directory
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, random_vectors

VECTORS = random_vectors(np.random.default_rng(3), ("image", "title"), DIMENSIONS)


@pytest.fixture
def filled_dir(data_dir: Path, open_index: OpenIndex) -> Path:
    """A closed index of 20 postings, half of them with a picture."""
    index = open_index()
    for number in range(20):
        digest, picture = (f"{number:064x}", b"jpeg" * number) if number % 2 else (None, None)
        index.put(Draft(f"p{number:02}", "mug", {"n": number}, VECTORS, digest, picture)).result(10)
    index.close()
    return data_dir


def run_sql(statement: str, directory: Path) -> None:
    """Go behind the index's back."""
    name = "pictures.sqlite" if "picture SET" in statement else "postings.sqlite"
    connection = apsw.Connection(str(directory / name))
    connection.execute(statement)
    connection.close()


def files(directory: Path) -> dict[str, bytes]:
    """The content of every file that holds data; an empty log holds none."""
    data = (path for path in directory.iterdir() if not path.name.endswith(("-shm", "lock")))
    return {path.name: path.read_bytes() for path in data if path.stat().st_size}


def test_a_sound_directory_has_no_finding(filled_dir: Path, open_index: OpenIndex) -> None:
    """Closed or crashed, the report counts what is there and names the encoders."""
    sound = CheckReport("sha256:one", 20, 10, ())
    assert check_directory(filled_dir) == sound
    index = open_index()
    index.delete("p00").result(10)
    crashed = filled_dir.with_name("crashed")
    shutil.copytree(filled_dir, crashed)
    assert check_directory(crashed) == CheckReport("sha256:one", 19, 10, ())


def no_pictures(directory: Path) -> None:
    (directory / "pictures.sqlite").write_bytes(b"no database" * 999)


def raise_the_mark(directory: Path) -> None:
    """As if the database were an older copy."""
    high_water = HighWater(directory / "high-water")
    high_water.write(21)
    high_water.close()


def one_picture_more(directory: Path) -> None:
    pictures = Pictures(directory)
    pictures.keep({b"unused": b"jpeg"})
    pictures.checkpoint()
    pictures.close()


BROKEN: dict[str, tuple[Callable[[Path], None], set[Damage]]] = {
    "row": (partial(run_sql, "UPDATE posting SET title = x'21' WHERE label = 4"), {Damage.ROW}),
    "missing": (partial(run_sql, "DELETE FROM posting WHERE label = 5"), {Damage.ROWS_MISSING, Damage.DERIVED}),
    "older": (raise_the_mark, {Damage.ROWS_MISSING}),
    "tag": (partial(run_sql, "DELETE FROM tag WHERE label = 4"), {Damage.DERIVED}),
    "picture": (partial(run_sql, "UPDATE picture SET picture = x'00' WHERE rowid = 1"), {Damage.PICTURE}),
    "orphan": (one_picture_more, {Damage.ORPHAN}),
    "pictures": (no_pictures, {Damage.DATABASE}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_damage_is_found_and_nothing_is_changed(filled_dir: Path, name: str) -> None:
    """The finding tells kind, file and place; a second look finds the same, since the first changed nothing."""
    break_it, expected = BROKEN[name]
    break_it(filled_dir)
    before = files(filled_dir)
    report = check_directory(filled_dir)
    assert {finding.damage for finding in report.findings} == expected
    assert check_directory(filled_dir) == report
    assert files(filled_dir) == before


def test_a_damaged_row_is_named_by_its_id(filled_dir: Path) -> None:
    """The operator learns which posting to put again."""
    run_sql("UPDATE posting SET vectors = x'00' WHERE posting_id = x'703133'", filled_dir)
    (finding,) = check_directory(filled_dir).findings
    assert finding.file == "postings.sqlite"
    assert "p13" in finding.detail


def test_what_cannot_be_checked_is_refused(filled_dir: Path, tmp_path: Path, open_index: OpenIndex) -> None:
    """No index, one that is open, one of a newer schema or not a database: the same reasons as at a start."""
    with pytest.raises(DirectoryUnusable, match="holds no index"):
        check_directory(tmp_path / "nowhere")
    index = open_index()
    with pytest.raises(IndexLocked, match=str(os.getpid())):
        check_directory(filled_dir)
    index.close()
    run_sql("PRAGMA user_version = 7", filled_dir)
    with pytest.raises(SchemaTooNew):
        check_directory(filled_dir)
    (filled_dir / "postings.sqlite").write_bytes(b"no database" * 999)
    with pytest.raises(DatabaseDamaged):
        check_directory(filled_dir)
