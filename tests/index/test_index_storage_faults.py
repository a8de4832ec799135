"""Disks that are full or fail, and bugs in the writer: each caller is told, reads go on, nothing hangs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import apsw
import numpy as np
import pytest

from index.errors import DatabaseDamaged, StorageFailed, StorageFull
from index.highwater import HighWater
from index.postings import Draft, Written
from index.rows import Row
from index.store import Store
from index.viewsets import ViewSets
from tests.index.conftest import OpenIndex
from tests.index.oracle import DIMENSIONS, random_vectors

VECTORS = random_vectors(np.random.default_rng(4), ("title",), DIMENSIONS)
ROOT = Path(__file__).parents[2]


def draft(posting_id: str, *, bytes_: int = 0, picture: bytes | None = None) -> Draft:
    """A posting of about this size."""
    digest = None if picture is None else f"{hash(posting_id) % 2**64:064x}"
    return Draft(posting_id, "mug", {"text": "x" * bytes_}, VECTORS, digest, picture)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def filled_up(disk: Path, *, leave: int) -> Iterator[None]:
    """Leave only this many bytes free."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast.write_bytes(bytes(max(0, free - leave)))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.parametrize("picture", [None, b"jpeg" * 20_000], ids=["row", "picture"])
def test_a_full_disk_refuses_writes_and_serves_reads(
    small_disk: Path, open_index: OpenIndex, picture: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Writes fail with StorageFull and leave no trace; reads go on; with space back the same index writes again."""
    caplog.set_level("WARNING")
    index = open_index(small_disk / "index")
    kept = ["before"]
    index.put(draft("before", bytes_=3_000)).result(10)
    with filled_up(small_disk, leave=60_000):
        for number in range(40):
            try:
                index.put(draft(f"tight{number}", bytes_=3_000, picture=picture)).result(10)
                kept.append(f"tight{number}")
            except StorageFull:
                break
        else:
            raise AssertionError("the disk never filled")
        assert isinstance(index.fault, StorageFull)
        for _ in range(3):
            with pytest.raises(StorageFull, match="no room"):
                index.put(draft("refused", bytes_=3_000, picture=picture)).result(10)
        assert index.get("before").title == "mug"
        assert len(index.search(VECTORS, k=50, floors=lambda views: 0.5)) == len(kept)
    kept.append("after")
    index.put(draft("after", bytes_=3_000, picture=picture)).result(10)
    assert index.fault is None
    said = [record.message.partition(":")[0] for record in caplog.records if record.name == "index.writer"]
    assert said == ["disk full", "the disk has room again"]
    index.close()
    index = open_index(small_disk / "index")
    assert [posting.posting_id for posting in index.scan(after=None, limit=100)] == sorted(kept)
    if picture is not None:
        assert index.picture("after") == picture


def test_many_writes_on_a_full_disk_each_get_an_answer(small_disk: Path, open_index: OpenIndex) -> None:
    """Of a hundred queued at once every future ends, and exactly the acknowledged ones are there afterwards."""
    index = open_index(small_disk / "index")
    with filled_up(small_disk, leave=150_000):
        futures = {f"p{number}": index.put(draft(f"p{number}", bytes_=3_000)) for number in range(100)}
        faults = {name: future.exception(20) for name, future in futures.items()}
    assert {type(fault) for fault in faults.values()} <= {type(None), StorageFull}
    assert any(faults.values())
    index.close()
    left = {posting.posting_id for posting in open_index(small_disk / "index").scan(after=None, limit=200)}
    assert left == {name for name, fault in faults.items() if fault is None}


def test_a_start_on_a_full_disk_says_so(small_disk: Path, open_index: OpenIndex) -> None:
    """StorageFull, and the data are untouched."""
    index = open_index(small_disk / "index")
    index.put(draft("a")).result(10)
    index.close()
    for left_over in (small_disk / "index").glob("*-shm"):
        left_over.unlink()
    with filled_up(small_disk, leave=0), pytest.raises(StorageFull):
        open_index(small_disk / "index")
    assert open_index(small_disk / "index").get("a").title == "mug"


def test_a_file_size_limit_is_a_full_disk(data_dir: Path) -> None:
    """Where the log may not grow, writes fail with StorageFull, and succeed once it may."""
    code = f"""
import resource
from pathlib import Path
from index.index import Index
from tests.index.test_index_storage_faults import DIMENSIONS, draft
index = Index.open(Path({str(data_dir)!r}), encoder_id="one", dimensions=DIMENSIONS, weights={{"image": 1, "title": 1}})
index.put(draft("before")).result(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
fault = index.put(draft("large", bytes_=1_000_000)).exception(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
after = index.put(draft("after")).result(10)
print(type(fault).__name__, after.created, index.count())
index.close()
"""
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["StorageFull", "True", "2"]


def test_a_failed_fsync_stops_all_writing(data_dir: Path, open_index: OpenIndex) -> None:
    """That write and every later one fails with StorageFailed, reads go on, and a restart has what was acknowledged."""
    command = [sys.executable, "-m", "tests.index.failing_disk", str(data_dir)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    said = finished.stdout.split()
    if "unsupported" in said:
        pytest.skip("the kernel has no seccomp filter here")
    assert said == ["acknowledged", "denied", "failed", "failed", "mug", "StorageFailed", "closed"]
    index = open_index()
    assert index.get("before").title == "mug"
    assert index.put(draft("after")).result(10).created


@pytest.mark.parametrize(
    ("owner", "name"), [(ViewSets, "apply"), (Store, "write_ledger"), (Store, "commit"), (HighWater, "write")]
)
def test_a_bug_in_the_writer_fails_its_callers(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """Everybody who waits and everybody who comes later is told; reads and close go on, and a restart is whole."""
    index = open_index()
    index.put(draft("before")).result(10)

    def broken(*_: object) -> None:
        raise RuntimeError("this is a bug")

    with monkeypatch.context() as patching:
        patching.setattr(owner, name, broken)
        futures: list[Future[Written]] = []
        for number in range(20):
            try:
                futures.append(index.put(draft(f"p{number}")))
            except StorageFailed:
                break
        assert futures
        assert {type(future.exception(10)) for future in futures} == {StorageFailed}
        with pytest.raises(StorageFailed, match="this is a bug"):
            index.delete("before")
        assert isinstance(index.fault, StorageFailed)
        assert index.get("before").title == "mug"
        index.close()
    index = open_index()
    assert index.get("before").title == "mug"
    assert index.put(draft("after")).result(10).created


def test_a_write_that_fails_halfway_fails_alone(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had already taken its old row out is rolled back to it; its neighbours in the group are committed."""
    index = open_index()
    for name in ("a", "b", "c"):
        index.put(draft(name)).result(10)
    original = Store.insert

    def insert(store: Store, row: Row) -> None:
        if row.content.posting_id == b"b":
            raise apsw.CorruptError("a page of this row cannot be read")
        original(store, row)

    with monkeypatch.context() as patching:
        patching.setattr(Store, "insert", insert)
        futures = [index.put(draft(name, bytes_=9)) for name in ("a", "b", "c")]
        assert [type(future.exception(10)) for future in futures] == [type(None), DatabaseDamaged, type(None)]
    assert index.fault is None
    for _ in range(2):
        listed = {posting.posting_id: posting.metadata["text"] for posting in index.scan(after=None, limit=9)}
        assert listed == {"a": "x" * 9, "b": "", "c": "x" * 9}
        assert len(index.search(VECTORS, k=9, floors=lambda views: 0.5)) == 3
        index.close()
        index = open_index()


def test_a_disk_that_cannot_keep_a_log_is_refused(data_dir: Path, open_index: OpenIndex) -> None:
    """Where SQLite cannot switch to WAL it says so only to those who ask: the start is refused."""
    apsw.set_default_vfs("unix-none")
    try:
        with pytest.raises(StorageFailed, match="expected journal_mode wal, got delete"):
            open_index()
    finally:
        apsw.set_default_vfs("unix")


def test_no_room_for_the_mark_fails_no_write(open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """The high-water mark comes after the commit: a write that is durable is acknowledged."""
    index = open_index()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patching:
        patching.setattr(HighWater, "write", full)
        assert index.put(draft("a")).result(10).created
    assert index.put(draft("b")).result(10).created
    index.close()
    assert open_index().count() == 2
