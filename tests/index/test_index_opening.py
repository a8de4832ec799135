"""Who may open a directory, and what is refused."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import (
    CannotOpen,
    DatabaseDamaged,
    DirectoryUnusable,
    EncoderMismatch,
    IndexLocked,
    SchemaTooNew,
)
from index.index import Index
from index.postings import Draft
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, WEIGHTS, random_vectors

VECTORS = random_vectors(np.random.default_rng(7), ("image", "title"), DIMENSIONS)


def test_a_second_owner_is_refused_and_told_the_first(open_index: OpenIndex) -> None:
    """The message names the owner's process; once it has closed the directory is free."""
    first = open_index()
    with pytest.raises(IndexLocked, match=f"process {os.getpid()}"):
        open_index()
    first.close()
    open_index()


def test_a_dead_owner_leaves_no_lock(data_dir: Path, open_index: OpenIndex) -> None:
    """A process that died without closing keeps no directory, and its pid is not taken for the next owner's."""
    code = (
        "import os, pathlib; from index.index import Index;"
        f"Index.open(pathlib.Path({str(data_dir)!r}), encoder_id='sha256:one', dimensions={DIMENSIONS},"
        f" weights={WEIGHTS}); os._exit(9)"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert process.returncode == 9
    open_index()
    with pytest.raises(IndexLocked, match=f"process {os.getpid()}"):
        open_index()


def test_of_many_that_open_at_once_exactly_one_wins(data_dir: Path) -> None:
    """Twenty races of eight: one opens, seven are refused."""
    for _ in range(20):
        opened: list[Index] = []
        refused: list[CannotOpen] = []
        start = threading.Barrier(8)

        def race(opened: list[Index], refused: list[CannotOpen], start: threading.Barrier) -> None:
            start.wait()
            try:
                opened.append(Index.open(data_dir, encoder_id="one", dimensions=DIMENSIONS, weights=WEIGHTS))
            except IndexLocked as fault:
                refused.append(fault)

        threads = [threading.Thread(target=race, args=(opened, refused, start)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for index in opened:
            index.close()
        assert (len(opened), len(refused)) == (1, 7)


def test_other_encoders_are_refused_by_name(open_index: OpenIndex) -> None:
    """The message names both and the cure; the index stays usable with its own."""
    index = open_index(encoder_id="sha256:one")
    index.put(Draft("a", "mug", {}, VECTORS)).result(10)
    index.close()
    with pytest.raises(EncoderMismatch, match=r"sha256:one .*sha256:two .*another data directory"):
        open_index(encoder_id="sha256:two")
    with pytest.raises(EncoderMismatch, match=r"'title': 4.*'title': 5"):
        open_index(dimensions={"image": 6, "title": 5})
    with pytest.raises(EncoderMismatch):
        open_index(dimensions={"title": 4})
    assert open_index(dimensions={"title": 4, "image": 6}).get("a").title == "mug"


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_are_positive(open_index: OpenIndex, weight: float) -> None:
    """A weight that makes no mean is the caller's error, and so is one left out."""
    with pytest.raises(ValueError, match="positive weight"):
        open_index(weights={"image": 1.0, "title": weight})
    with pytest.raises(ValueError, match="positive weight"):
        open_index(weights={"image": 1.0})


def test_a_newer_schema_is_refused_untouched(data_dir: Path, open_index: OpenIndex) -> None:
    """Written by a later Kembar: refused with both versions, and not a byte of it changed."""
    open_index().close()
    database = data_dir / "postings.sqlite"
    connection = apsw.Connection(str(database))
    connection.pragma("user_version", 2)
    connection.close()
    before = database.read_bytes()
    with pytest.raises(SchemaTooNew, match="expected schema 1 or older, got 2"):
        open_index()
    assert database.read_bytes() == before


def test_what_is_no_index_is_refused(tmp_path: Path, open_index: OpenIndex) -> None:
    """A file, a symbolic link, another program's database or a text in the database's place: a reason, no change."""
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(DirectoryUnusable):
        open_index(file)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(DirectoryUnusable, match="symbolic link"):
        open_index(link)
    for name in ("text", "foreign"):
        (tmp_path / name).mkdir()
    (tmp_path / "text" / "postings.sqlite").write_bytes(b"these are my notes, not a database\n" * 200)
    foreign = apsw.Connection(str(tmp_path / "foreign" / "postings.sqlite"))
    foreign.execute("CREATE TABLE diary (day TEXT)")
    foreign.close()
    for name in ("text", "foreign"):
        before = (tmp_path / name / "postings.sqlite").read_bytes()
        with pytest.raises(DatabaseDamaged):
            open_index(tmp_path / name)
        assert (tmp_path / name / "postings.sqlite").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path, open_index: OpenIndex) -> None:
    """Read-only: refused at once, by name."""
    tmp_path.chmod(0o555)
    with pytest.raises(DirectoryUnusable):
        open_index(tmp_path)


def test_files_that_a_copy_left_behind_are_made_anew(data_dir: Path, open_index: OpenIndex) -> None:
    """The shared-memory file and the lock are no part of the data."""
    index = open_index()
    index.put(Draft("a", "mug", {}, VECTORS)).result(10)
    index.close()
    for name in ("lock", "postings.sqlite-shm", "pictures.sqlite-shm"):
        (data_dir / name).unlink(missing_ok=True)
    assert open_index().get("a").title == "mug"
