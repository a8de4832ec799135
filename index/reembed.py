"""A stopped index moves to other encoders: a second database grows beside the first and takes its place at the end."""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from index.books import check_high_water, check_ledger
from index.directory import sync_path
from index.errors import CannotOpen, CorruptRow, IndexFault, RowsMissing, StorageFull
from index.faults import file_faults, sqlite_faults
from index.highwater import recorded_mark
from index.opening import stopped_store
from index.pictures import DATABASE as PICTURES
from index.pictures import load_picture, open_pictures
from index.postings import UnitVector
from index.rows import Row, half_vectors, pack_vectors
from index.store import Store
from index.table import DATABASE, Binding

FOLDER = "reembed"  # in the data directory; holds the second database
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """What is stored of a posting to encode it from; `picture` is None where there is none, or none any more."""

    row: Row
    picture: bytes | None

    @property
    def title(self) -> str | None:
        """As sent."""
        return None if self.row.content.title is None else self.row.content.title.decode()

    @property
    def wanted(self) -> Row:
        """The row as it shall be, but for the vectors: where the picture is lost, an import has to find it missing."""
        if self.picture is not None:
            return self.row
        return self.row._replace(content=self.row.content._replace(image_digest=None))


class StoppedIndex:
    """Postings and pictures of an index that is not open, in a directory that this process owns until `close`."""

    def __init__(self, path: Path, readable: Callable[[bytes], bool]) -> None:
        """
        Take the directory; nothing is changed.

        Args:
            readable: whether a stored picture can be encoded; one that cannot counts as lost.

        Raises:
            CannotOpen: see the tree in `index.errors`.
        """
        self.path, self._readable = path, readable
        with ExitStack() as opened:
            self.store = opened.enter_context(stopped_store(path))
            with self.store.faults():
                check_high_water(self.store, recorded_mark(path))
            self._pictures = open_pictures(path / PICTURES) if (path / PICTURES).is_file() else None
            if self._pictures is not None:
                opened.callback(self._pictures.close)
            self.close = opened.pop_all().close

    def labels(self) -> list[int]:
        """Of all rows, damaged ones too, in order."""
        with self.store.faults():
            return self.store.labels()

    def originals(self, labels: Iterable[int]) -> Iterator[Original]:
        """These postings, without the damaged ones."""
        for label in labels:
            with suppress(CorruptRow):
                yield self.original(label)

    def original(self, label: int) -> Original:
        """One posting; raises CorruptRow."""
        with self.store.faults():
            row = self.store.row_of(label)
        if row is None:
            raise CorruptRow(f"row {label} cannot be found again")
        return Original(row, self._picture(row.content.image_digest))

    def _picture(self, image_digest: bytes | None) -> bytes | None:
        if image_digest is None or self._pictures is None:
            return None
        try:
            with sqlite_faults(self._pictures, PICTURES):
                picture = load_picture(self._pictures, image_digest)
        except IndexFault:
            return None  # not kept, or damaged, as `kembar check` tells
        return picture if self._readable(picture) else None


@dataclass(slots=True)
class Survey:
    """What there is to do: labels, and the ids of postings that cannot be moved, each with the reason."""

    to_move: list[int] = field(default_factory=list)
    moved_before: list[int] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    without_picture: int = 0


class Move:
    """
    The second database: durable as far as `add` has returned, and taken up from there by the next process.

    The first one serves, and may change, until `switch`. What of the second does not fit it any more is made anew.
    """

    def __init__(self, source: StoppedIndex, wanted: Binding) -> None:
        """Begin, or go on; what was moved to yet other encoders, or cannot be opened, is thrown away."""
        self._source, self._binding = source, wanted
        self._folder = source.path / FOLDER
        try:
            self._store = self._open()
        except CannotOpen:
            logger.warning("an unfinished reembed to other encoders, or a damaged one, is thrown away and begun anew")
            shutil.rmtree(self._folder)
            self._store = self._open()

    def survey(self, labels: Iterable[int]) -> Survey:
        """
        Read all that is to be moved, and take out of the second database what is not as in the first.

        Raises:
            RowsMissing: the index has lost acknowledged rows.
        """
        survey, damaged = Survey(), 0
        for label in labels:
            try:
                original = self._source.original(label)
            except CorruptRow:
                damaged += 1
                survey.left_out.append((self._source.store.id_of(label), "row is damaged"))
                continue
            if original.picture is None and original.title is None:
                survey.left_out.append((self._source.store.id_of(label), "no title and no stored picture"))
                continue
            survey.without_picture += original.wanted != original.row
            (survey.moved_before if self._holds(original) else survey.to_move).append(label)
        with self._source.store.faults():
            check_ledger(self._source.store, damaged)
        with self._store.group():
            if stale := set(self._store.labels()).difference(survey.moved_before):
                self._store.remove_unread(stale)
        return survey

    def require_room(self, postings: int) -> None:
        """Raise StorageFull where the disk cannot hold the second database beside the first."""
        bound = self._source.store.binding()
        longer = sum(self._binding.dimensions.values()) - sum(bound.dimensions.values() if bound else ())
        needed = self._source.store.used_bytes() + 2 * longer * postings - self._store.used_bytes()
        disk = os.statvfs(self._folder)
        free = disk.f_bavail * disk.f_frsize
        if free < needed:
            raise StorageFull(f"expected {needed / 1e6:,.0f} MB free for the new vectors, got {free / 1e6:,.0f} MB")

    def add(self, encoded: Iterable[tuple[Original, Mapping[str, UnitVector]]]) -> None:
        """Store postings with their new vectors, durably: one per view that title and stored picture give."""
        with self._store.group():
            for original, vectors in encoded:
                views, blob = pack_vectors(half_vectors(vectors, self._binding.dimensions))
                self._store.insert(original.wanted.with_vectors(views, blob))
        self._store.checkpoint()

    def switch(self, postings: int) -> None:
        """
        Put the second database, of so many postings, in the place of the first; neither can be used from here on.

        Labels and sequence numbers are the same, so the high-water mark and the pictures go on to fit.
        """
        with self._store.faults():
            found = self._store.recount()
            if found.postings != postings:
                raise RowsMissing(f"expected {postings} postings moved, got {found.postings}; run the command again")
            self._store.write_ledger(replace(found, sequence=self._source.store.ledger().sequence))
        for store in (self._store, self._source.store):
            store.checkpoint()
            store.close()
        path = self._source.path
        with file_faults(DATABASE):
            # Empty by now, the first one's log must not lie beside the second, where a power cut could fill it again.
            for suffix in ("-wal", "-shm"):
                (path / (DATABASE + suffix)).unlink(missing_ok=True)
            for durable in (self._folder / DATABASE, self._folder, path):
                sync_path(durable)
            (self._folder / DATABASE).replace(path / DATABASE)
            sync_path(path)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Leave off; what was added stays."""
        self._store.close()

    def _open(self) -> Store:
        with file_faults(FOLDER):
            self._folder.mkdir(exist_ok=True)
        with ExitStack() as opened:
            store = opened.enter_context(closing(Store(self._folder)))
            store.bind(self._binding)
            opened.pop_all()
        return store

    def _holds(self, original: Original) -> bool:
        moved = None
        with suppress(CorruptRow), self._store.faults():
            moved = self._store.row_of(original.row.label)
        return moved is not None and moved == original.wanted.with_vectors(moved.content.views, moved.content.vectors)
