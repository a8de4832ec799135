"""What single writes do, and what is read back."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import IndexClosed, RevisionMismatch, UnknownPosting
from index.postings import Draft, JsonValue, Patch, Precondition, Written
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, random_vectors, unit

RNG = np.random.default_rng(5)
VECTORS = random_vectors(RNG, ("image", "title"), DIMENSIONS)
TITLE_ONLY = random_vectors(RNG, ("title",), DIMENSIONS)


def test_a_put_tells_whether_it_created_or_changed(open_index: OpenIndex) -> None:
    """The first put creates, the same again changes nothing and keeps the revision, another content raises it."""
    index = open_index()
    first = index.put(Draft("a", "mug", {"n": 1}, VECTORS, "ab" * 32)).result(10)
    again = index.put(Draft("a", "mug", {"n": 1}, VECTORS, "ab" * 32)).result(10)
    other = index.put(Draft("a", "mug", {"n": 1}, VECTORS, "cd" * 32)).result(10)
    assert first == Written(first.revision, created=True, changed=True)
    assert again == Written(first.revision, created=False, changed=False)
    assert (other.created, other.changed, other.revision > first.revision) == (False, True, True)


@pytest.mark.parametrize(
    "changed",
    [
        Draft("a", "Mug", {"n": 1}, VECTORS, "ab" * 32),
        Draft("a", None, {"n": 1}, VECTORS, "ab" * 32),
        Draft("a", "mug", {"n": 1.0}, VECTORS, "ab" * 32),
        Draft("a", "mug", {"n": True}, VECTORS, "ab" * 32),
        Draft("a", "mug", {"n": 1}, VECTORS, None),
        Draft("a", "mug", {"n": 1}, TITLE_ONLY, "ab" * 32),
    ],
    ids=["title", "no title", "float", "true", "no picture", "views"],
)
def test_any_change_of_content_is_a_change(open_index: OpenIndex, changed: Draft) -> None:
    """Title, metadata with their JSON types, picture and views each count."""
    index = open_index()
    index.put(Draft("a", "mug", {"n": 1}, VECTORS, "ab" * 32)).result(10)
    assert index.put(changed).result(10).changed
    assert (index.get("a").title, repr(index.get("a").metadata)) == (changed.title, repr(changed.metadata))


def test_a_revision_is_never_used_again(open_index: OpenIndex) -> None:
    """A posting deleted and made anew has a higher revision, so that an old If-Match cannot meet the new one."""
    index = open_index()
    first = index.put(Draft("a", "mug", {}, TITLE_ONLY)).result(10).revision
    index.delete("a").result(10)
    index.close()
    assert open_index().put(Draft("a", "mug", {}, TITLE_ONLY)).result(10).revision > first


def test_a_label_stays_with_its_posting(open_index: OpenIndex, data_dir: Path) -> None:
    """Our own number of a posting outlives changes of content and views, and a deleted posting's is not given again."""
    index = open_index()

    def label() -> int:
        with closing(apsw.Connection(str(data_dir / "postings.sqlite"))) as connection:
            return int(connection.execute("SELECT label FROM posting").get)

    index.put(Draft("a", "mug", {}, VECTORS)).result(10)
    first = label()
    index.put(Draft("a", "cup", {}, TITLE_ONLY)).result(10)
    index.patch(Patch("a", metadata={"n": 1})).result(10)
    assert label() == first
    index.delete("a").result(10)
    index.put(Draft("a", "mug", {}, VECTORS)).result(10)
    assert label() > first


def test_times_tell_creation_and_last_change(open_index: OpenIndex) -> None:
    """`created_at` stays through changes and restarts, `updated_at` moves, and both are aware UTC."""
    before = datetime.now(UTC)
    index = open_index()
    index.put(Draft("a", "mug", {}, TITLE_ONLY)).result(10)
    created = index.get("a")
    index.put(Draft("a", "cup", {}, TITLE_ONLY)).result(10)
    index.close()
    changed = open_index().get("a")
    assert before <= created.created_at == created.updated_at == changed.created_at < changed.updated_at
    assert changed.updated_at <= datetime.now(UTC)


def test_ids_and_titles_are_kept_byte_for_byte(open_index: OpenIndex) -> None:
    """Any valid Unicode comes back as sent; spellings that differ in bytes are different ids."""
    ids = ["\u00e9", "e\u0301", "x\x00y", "x", "\U0010ffff", "\ufffe", "é" * 64]
    index = open_index()
    for posting_id in ids:
        index.put(Draft(posting_id, f"title of {posting_id}\x00\u202e", {}, TITLE_ONLY)).result(10)
    index.close()
    index = open_index()
    assert {posting_id: index.get(posting_id).title for posting_id in ids} == {
        posting_id: f"title of {posting_id}\x00\u202e" for posting_id in ids
    }
    assert [posting.posting_id for posting in index.scan(after=None, limit=10)] == sorted(ids, key=str.encode)


def test_metadata_come_back_exactly(open_index: OpenIndex) -> None:
    """Order, nesting, number types and digits survive."""
    metadata: dict[str, JsonValue] = {
        "z": 1,
        "a": 1.0,
        "big": 10**40,
        "small": 5e-324,
        "third": 1 / 3,
        "minus": -0.0,
        "no": None,
        "yes": True,
        "": "empty key",
        "deep": {"b": [1, [2.5, {"c": "\U0001f9f4\u2028\x7f"}]], "a": []},
    }
    index = open_index()
    index.put(Draft("a", None, metadata, TITLE_ONLY)).result(10)
    assert repr(index.get("a").metadata) == repr(metadata)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_metadata_that_are_no_json_are_refused(open_index: OpenIndex, bad: float) -> None:
    """NaN and infinity never reach the database."""
    index = open_index()
    with pytest.raises(ValueError, match="JSON"):
        index.put(Draft("a", None, {"x": [bad]}, TITLE_ONLY))
    assert index.count() == 0


@pytest.mark.parametrize(
    "vector",
    [np.zeros(4), np.full(4, np.nan), np.full(4, 0.6), np.ones(3) / np.sqrt(3), np.eye(4)],
    ids=["zero", "nan", "too long", "dimension", "batch"],
)
def test_a_vector_that_is_no_unit_vector_of_its_view_is_refused(
    open_index: OpenIndex, vector: np.typing.NDArray[np.float64]
) -> None:
    """Neither stored nor searched with."""
    index = open_index()
    with pytest.raises(ValueError, match="expected a vector of"):
        index.put(Draft("a", None, {}, {"title": vector.astype(np.float32)}))
    with pytest.raises(ValueError, match="expected a vector of"):
        index.search({"title": vector.astype(np.float32)}, k=1, floors=lambda views: 0.0)


def test_a_posting_without_views_or_of_unknown_ones_is_refused(open_index: OpenIndex) -> None:
    """At least one view, and only those that the index was opened with."""
    index = open_index()
    with pytest.raises(ValueError, match="at least one view"):
        index.put(Draft("a", "mug", {}, {}))
    with pytest.raises(ValueError, match="expected a view of"):
        index.put(Draft("a", "mug", {}, {"sound": unit(RNG, 4)}))


def test_a_patch_changes_only_what_it_names(open_index: OpenIndex) -> None:
    """A new title replaces the title's vector and leaves picture and metadata alone, and the other way round."""
    index = open_index()
    index.put(Draft("a", "mug", {"n": 1}, VECTORS, "ab" * 32, b"jpeg")).result(10)
    new_title = unit(RNG, 4)
    index.patch(Patch("a", "cup", {"title": new_title})).result(10)
    posting = index.get("a")
    assert (posting.title, posting.metadata, posting.image_digest) == ("cup", {"n": 1}, "ab" * 32)
    np.testing.assert_array_equal(posting.vectors["image"], VECTORS["image"].astype(np.float16))
    np.testing.assert_array_equal(posting.vectors["title"], new_title.astype(np.float16))
    index.patch(Patch("a", metadata={"n": 2})).result(10)
    assert (index.get("a").title, index.get("a").metadata, index.picture("a")) == ("cup", {"n": 2}, b"jpeg")


def test_a_patch_can_give_the_first_title(open_index: OpenIndex) -> None:
    """A posting with a picture alone moves to the view set with both, and is found by its title at once."""
    index = open_index()
    index.put(Draft("a", None, {}, {"image": VECTORS["image"]}, "ab" * 32)).result(10)
    index.patch(Patch("a", "mug", {"title": VECTORS["title"]})).result(10)
    assert index.counts() == {"image+title": 1}
    (hit,) = index.search({"title": VECTORS["title"]}, k=5, floors=lambda views: 0.0)
    assert (hit.posting.posting_id, hit.score) == ("a", 1.0)


def test_a_patch_that_changes_nothing_says_so(open_index: OpenIndex) -> None:
    """The same title and metadata keep the revision."""
    index = open_index()
    first = index.put(Draft("a", "mug", {"n": 1}, VECTORS)).result(10)
    written = index.patch(Patch("a", "mug", {"title": VECTORS["title"]}, metadata={"n": 1})).result(10)
    assert written == Written(first.revision, created=False, changed=False)


def test_a_patch_needs_a_posting_and_a_title_its_vector(open_index: OpenIndex) -> None:
    """An unknown id is UnknownPosting, whatever the precondition; a title alone is the caller's error."""
    index = open_index()
    with pytest.raises(UnknownPosting):
        index.patch(Patch("a", metadata={}), Precondition(must_exist=True)).result(10)
    with pytest.raises(ValueError, match="together with its vector"):
        index.patch(Patch("a", "mug"))


def test_a_delete_tells_whether_the_posting_was_there(open_index: OpenIndex) -> None:
    """True once, then False; get and search know it no more."""
    index = open_index()
    index.put(Draft("a", "mug", {}, TITLE_ONLY)).result(10)
    assert (index.delete("a").result(10), index.delete("a").result(10)) == (True, False)
    with pytest.raises(UnknownPosting):
        index.get("a")
    assert index.search(TITLE_ONLY, k=5, floors=lambda views: -1.0) == []
    assert index.counts() == {}


def test_preconditions_hold_writes_back(open_index: OpenIndex) -> None:
    """If-Match lists, If-Match: * and If-None-Match: * are judged against the stored revision, and change nothing."""
    index = open_index()
    absent, present = Precondition(must_not_exist=True), Precondition(must_exist=True)
    for unmet in (present, Precondition(revisions=frozenset({1}))):
        for write in (index.put(Draft("a", "mug", {}, TITLE_ONLY), unmet), index.delete("a", unmet)):
            with pytest.raises(RevisionMismatch):
                write.result(10)
    revision = index.put(Draft("a", "mug", {}, TITLE_ONLY), absent).result(10).revision
    for unmet in (absent, Precondition(revisions=frozenset({revision + 1})), Precondition(revisions=frozenset())):
        for write in (
            index.put(Draft("a", "cup", {}, TITLE_ONLY), unmet),
            index.patch(Patch("a", metadata={"n": 1}), unmet),
            index.delete("a", unmet),
        ):
            with pytest.raises(RevisionMismatch):
                write.result(10)
    assert (index.get("a").title, index.get("a").revision) == ("mug", revision)
    met = Precondition(revisions=frozenset({revision + 1, revision}))
    assert index.put(Draft("a", "cup", {}, TITLE_ONLY), met).result(10).changed
    assert index.delete("a", present).result(10)


def test_a_write_that_fails_takes_no_neighbour_with_it(open_index: OpenIndex) -> None:
    """Of many writes queued at once, those whose precondition fails fail alone."""
    index = open_index()
    unmet = Precondition(must_exist=True)
    futures = [
        index.put(Draft(str(n), "mug", {}, TITLE_ONLY), unmet if n % 3 == 0 else Precondition()) for n in range(60)
    ]
    failed = [n for n, future in enumerate(futures) if future.exception(10) is not None]
    assert failed == list(range(0, 60, 3))
    assert {posting.posting_id for posting in index.scan(after=None, limit=100)} == {str(n) for n in range(60) if n % 3}


def test_a_closed_index_says_so(open_index: OpenIndex, data_dir: Path) -> None:
    """Every call after close raises IndexClosed; close may be called again; what was accepted is there."""
    index = open_index()
    futures = [index.put(Draft(str(n), "mug", {}, TITLE_ONLY)) for n in range(50)]
    index.close()
    index.close()
    assert all(future.done() and future.result().created for future in futures)
    for call in (
        lambda: index.put(Draft("a", "mug", {}, TITLE_ONLY)),
        lambda: index.delete("a"),
        lambda: index.get("1"),
        lambda: index.picture("1"),
        lambda: index.scan(after=None, limit=1),
        lambda: index.search(TITLE_ONLY, k=1, floors=lambda views: 0.0),
    ):
        with pytest.raises(IndexClosed):
            call()
    assert open_index().count() == 50


def test_a_write_cancelled_before_its_turn_does_not_happen(open_index: OpenIndex) -> None:
    """A future that its caller cancelled in the queue leaves no posting."""
    index = open_index()
    futures = [index.put(Draft(str(n), "mug", {}, TITLE_ONLY)) for n in range(200)]
    cancelled = {str(n) for n, future in enumerate(futures) if n >= 100 and future.cancel()}
    index.close()
    assert {posting.posting_id for posting in open_index().scan(after=None, limit=300)} == {
        str(n) for n in range(200)
    } - cancelled
