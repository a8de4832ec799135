"""The pictures that postings keep."""

import hashlib
import logging
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import CorruptRow, PictureNotKept, UnknownPosting
from index.postings import Draft, Patch
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, random_vectors

VECTORS = random_vectors(np.random.default_rng(3), ("image", "title"), DIMENSIONS)
PICTURES = {name: name.encode() * 4_000 for name in ("red", "blue")}


def draft(posting_id: str, picture: str | None, *, title: str = "mug") -> Draft:
    """A posting with this picture, or with none."""
    if picture is None:
        return Draft(posting_id, title, {}, {"title": VECTORS["title"]})
    return Draft(posting_id, title, {}, VECTORS, digest(picture), PICTURES[picture])


def digest(picture: str) -> str:
    """The digest of the upload."""
    return hashlib.sha256(picture.encode()).hexdigest()


def stored(data_dir: Path) -> set[str]:
    """The digests in the file, read behind the index's back."""
    connection = apsw.Connection(str(data_dir / "pictures.sqlite"))
    try:
        return {row[0].hex() for row in connection.execute("SELECT image_digest FROM picture")}
    finally:
        connection.close()


def tamper(data_dir: Path, statement: str) -> None:
    connection = apsw.Connection(str(data_dir / "pictures.sqlite"))
    connection.execute(statement)
    connection.close()


def test_a_picture_comes_back_as_it_was_given(open_index: OpenIndex) -> None:
    """Byte for byte, also after a restart; without one, and without the posting, there is a reason."""
    index = open_index()
    index.put(draft("a", "red")).result(10)
    index.put(draft("b", None)).result(10)
    index.put(Draft("c", "mug", {}, VECTORS, digest("green"))).result(10)
    index.close()
    index = open_index()
    assert index.picture("a") == PICTURES["red"]
    for posting_id in ("b", "c"):
        with pytest.raises(PictureNotKept):
            index.picture(posting_id)
    with pytest.raises(UnknownPosting):
        index.picture("d")


def test_postings_that_share_a_picture_share_one(open_index: OpenIndex, data_dir: Path) -> None:
    """It is stored once and goes with the last posting that has it, by deletion or by another picture."""
    index = open_index()
    for posting_id in ("a", "b", "c"):
        index.put(draft(posting_id, "red")).result(10)
    assert stored(data_dir) == {digest("red")}
    index.delete("a").result(10)
    index.put(draft("b", "blue")).result(10)
    index.patch(Patch("c", metadata={"n": 1})).result(10)
    assert index.picture("c") == PICTURES["red"]
    index.put(draft("c", None)).result(10)
    index.close()
    assert stored(data_dir) == {digest("blue")}


def test_the_last_delete_and_a_new_put_of_a_picture_may_meet(open_index: OpenIndex) -> None:
    """Queued together, in whichever groups they are committed, the picture that is in use stays."""
    index = open_index()
    index.put(draft("a0", "red")).result(10)
    for number in range(50):
        futures = [index.delete(f"a{number}"), index.put(draft(f"a{number + 1}", "red"))]
        for future in futures:
            future.result(10)
        assert index.picture(f"a{number + 1}") == PICTURES["red"]


def test_losing_the_file_loses_no_match(open_index: OpenIndex, data_dir: Path) -> None:
    """Without it the index starts and searches; an import of the same postings brings the pictures back."""
    index = open_index()
    index.put(draft("a", "red")).result(10)
    index.close()
    for name in ("pictures.sqlite", "pictures.sqlite-wal", "pictures.sqlite-shm"):
        (data_dir / name).unlink(missing_ok=True)
    index = open_index()
    (hit,) = index.search(VECTORS, k=5, floors=lambda views: 0.5)
    assert hit.posting.posting_id == "a"
    with pytest.raises(PictureNotKept):
        index.picture("a")
    assert not index.put(draft("a", "red")).result(10).changed
    assert index.picture("a") == PICTURES["red"]


def test_a_file_that_is_no_database_is_set_aside(
    open_index: OpenIndex, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The damaged file is kept under another name, logged, and a new one takes its place."""
    index = open_index()
    index.put(draft("a", "red")).result(10)
    index.close()
    (data_dir / "pictures.sqlite").write_bytes(b"damaged " * 2_000)
    with caplog.at_level(logging.ERROR):
        index = open_index()
    assert "set aside" in caplog.text
    assert (data_dir / "pictures.sqlite.damaged").read_bytes() == b"damaged " * 2_000
    assert index.get("a").title == "mug"
    index.put(draft("b", "blue")).result(10)
    assert index.picture("b") == PICTURES["blue"]


def test_a_damaged_picture_is_not_served(open_index: OpenIndex, data_dir: Path) -> None:
    """It fails with CorruptRow until it is put again; its posting matches all the while."""
    index = open_index()
    index.put(draft("a", "red")).result(10)
    tamper(data_dir, "UPDATE picture SET picture = CAST(picture || '!' AS BLOB)")
    with pytest.raises(CorruptRow):
        index.picture("a")
    assert index.search(VECTORS, k=5, floors=lambda views: 0.5)[0].posting.posting_id == "a"
    index.put(draft("a", "red")).result(10)
    assert index.picture("a") == PICTURES["red"]


def test_a_picture_that_a_crash_left_behind_is_removed_at_the_start(open_index: OpenIndex, data_dir: Path) -> None:
    """Stored before a commit that never came: no growth."""
    index = open_index()
    index.put(draft("a", "red")).result(10)
    index.close()
    tamper(data_dir, "INSERT INTO picture VALUES (x'aa', x'bb', x'cc')")
    open_index().close()
    assert stored(data_dir) == {digest("red")}
