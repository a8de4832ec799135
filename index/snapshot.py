"""An IVF set as a file, so that a start need not train: derived, digested, and exact whenever it was written."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from index.directory import sync_path
from index.errors import SnapshotUnusable
from index.fusion import Fusion
from index.ivf import IvfSet, Probe

SUFFIX, UNFINISHED = ".ivf", ".ivf-unfinished"
_MAGIC = b"KMBRIVF1"
_DIGEST_BYTES = 32
_HEAD_BYTES = len(_MAGIC) + _DIGEST_BYTES + 8 + 4  # magic, digest of all that follows it, length, length of the header
_READ_AT_ONCE = 1 << 20

Entries = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a snapshot must have been made with, to be of use."""

    encoder_id: str
    dimensions: Mapping[str, int]
    weights: Mapping[str, float]

    def of(self, views: bytes) -> dict[str, object]:
        """As it stands in the header of a view set's file."""
        named = {view: [self.dimensions[view], self.weights[view]] for view in views.decode().split("+")}
        return {"encoder_id": self.encoder_id, "views": named}


def snapshot_path(directory: Path, views: bytes) -> Path:
    """Where the snapshot of a view set lies."""
    return directory / (quote(views, safe="+") + SUFFIX)


def write_snapshot(
    path: Path,
    identity: Mapping[str, object],
    stored: IvfSet,
    sequence: int,
    entries: Callable[[int], Entries],
) -> None:
    """
    Write a set's file, durably, in the place of an older one; raises OSError, and then the older one is left.

    The set may change meanwhile: what was written after `sequence` is not taken from the file at a start, but from
    the rows.

    Args:
        sequence: the last write that is surely in the set.
        entries: a list's labels and codes, each list as it is at one moment.
    """
    unfinished = path.with_suffix(UNFINISHED)
    header = {
        **identity,
        "sequence": sequence,
        "lists": stored.lists,
        "trained_on": stored.trained_on,
        "probes": stored.probes,
        "written_s": int(time.time()),
    }
    try:
        with unfinished.open("wb") as file:
            _write(file, json.dumps(header).encode(), stored, entries)
        unfinished.replace(path)
        sync_path(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(file: BinaryIO, header: bytes, stored: IvfSet, entries: Callable[[int], Entries]) -> None:
    digest = hashlib.sha256()
    file.write(bytes(_HEAD_BYTES))

    def add(block: bytes | memoryview) -> None:
        file.write(block)
        digest.update(block)

    add(header)
    add(np.ascontiguousarray(stored.centroids, dtype="<f4").data)
    for number in range(stored.lists):
        labels, codes = entries(number)
        add(len(labels).to_bytes(4, "little"))
        add(labels.astype("<i8", copy=False).data)
        add(codes.data)
    length = file.tell()
    numbers = length.to_bytes(8, "little") + len(header).to_bytes(4, "little")
    # The digest begins with the two numbers, which are known last: so it covers them by a second one.
    file.seek(0)
    file.write(_MAGIC + _sealed(digest, numbers) + numbers)
    file.flush()
    os.fsync(file.fileno())


def _sealed(digest: "hashlib._Hash", numbers: bytes) -> bytes:
    return hashlib.sha256(digest.digest() + numbers).digest()


class Snapshot:
    """An open file, its head read but not yet to be trusted: `lists` ends with the check of all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self._left = file, hashlib.sha256(), 0
        head = file.read(_HEAD_BYTES)
        self._numbers = head[-12:]
        length, header_bytes = int.from_bytes(head[40:48], "little"), int.from_bytes(head[48:52], "little")
        size = os.fstat(file.fileno()).st_size
        if head[: len(_MAGIC)] != _MAGIC or length != size or header_bytes > size:
            raise SnapshotUnusable(f"expected a snapshot of {length} bytes, got {size} bytes of something")
        self._left = size - _HEAD_BYTES
        self._expected = head[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]
        try:
            self.header = json.loads(self._read(header_bytes))
            self.sequence, self.list_count = int(self.header["sequence"]), int(self.header["lists"])
            self.probes = {
                shared: [Probe(float(floor), int(lists)) for floor, lists in probes]
                for shared, probes in self.header["probes"].items()
            }
            self.trained_on, self.written_s = int(self.header["trained_on"]), int(self.header["written_s"])
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise SnapshotUnusable("its header is damaged") from exc

    def fits(self, identity: Mapping[str, object]) -> bool:
        """Whether it was made with these encoders and weights, for this view set."""
        return all(self.header.get(key) == value for key, value in identity.items())

    def centroids(self, dimension: int) -> NDArray[np.float32]:
        """(lists, dim)."""
        values = np.frombuffer(self._read(4 * self.list_count * dimension), dtype="<f4")
        return values.reshape(self.list_count, dimension).astype(np.float32)

    def lists(self, dimension: int) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
        """Each list's number, labels and codes; raises SnapshotUnusable at the end, if anything was not as written."""
        for number in range(self.list_count):
            count = int.from_bytes(self._read(4), "little")
            labels = np.frombuffer(self._read(8 * count), dtype="<i8").astype(np.int64)
            yield number, labels, np.frombuffer(self._read(count * dimension), dtype=np.uint8).reshape(count, dimension)
        self._check()

    def verify(self) -> None:
        """Read to the end; raises SnapshotUnusable."""
        while block := self._file.read(_READ_AT_ONCE):
            self._digest.update(block)
        self._check()

    def _read(self, size: int) -> bytes:
        # A damaged count must not ask for more memory than the file has bytes.
        if size > self._left:
            raise SnapshotUnusable("it ends too early")
        block = self._file.read(size)
        self._left -= len(block)
        self._digest.update(block)
        return block

    def _check(self) -> None:
        if _sealed(self._digest, self._numbers) != self._expected or self._file.read(1):
            raise SnapshotUnusable("its digest is another")


@contextmanager
def open_snapshot(path: Path) -> Iterator[Snapshot]:
    """Open a file and read its head; raises SnapshotUnusable, also where the file cannot be read."""
    try:
        with path.open("rb") as file:
            yield Snapshot(file)
    except OSError as exc:
        raise SnapshotUnusable(f"cannot be read: {exc.strerror}") from exc


def load_set(snapshot: Snapshot, fusion: Fusion, keep: NDArray[np.int64]) -> tuple[IvfSet, NDArray[np.int64]]:
    """
    The set in a file, without what has changed since, and which labels of `keep` are not in it.

    Args:
        keep: the labels of rows that are as they were at the snapshot's sequence number, in order.

    Raises:
        SnapshotUnusable: the file is not as written.
    """
    made = IvfSet(fusion, snapshot.centroids(fusion.dimension), snapshot.probes, snapshot.trained_on)
    there = np.zeros(len(keep), dtype=bool)
    for number, labels, codes in snapshot.lists(fusion.dimension):
        places = np.searchsorted(keep, labels)
        kept = np.flatnonzero(np.append(keep, -1)[places] == labels)
        there[places[kept]] = True
        made.fill_list(number, np.ascontiguousarray(labels[kept]), np.ascontiguousarray(codes[kept]))
    return made.mapped(), keep[~there]


def remove_snapshots(directory: Path, keep: Collection[bytes]) -> None:
    """Remove the files that are of no use any more, and those that a crash left unfinished; raises OSError."""
    wanted = {snapshot_path(directory, views) for views in keep}
    for path in directory.iterdir():
        if path.suffix in (SUFFIX, UNFINISHED) and path not in wanted:
            path.unlink(missing_ok=True)
