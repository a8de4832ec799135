"""Hold a data directory to all its promises, while no index is open on it: what `kembar check` prints."""

from collections.abc import Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import apsw

from index.books import check_high_water, check_ledger
from index.errors import DatabaseDamaged, RowsMissing, SnapshotUnusable
from index.faults import sqlite_faults
from index.highwater import recorded_mark
from index.opening import stopped_store
from index.pictures import DATABASE as PICTURES
from index.pictures import open_pictures, stored_pictures
from index.quarantine import Quarantine
from index.reembed import FOLDER
from index.scrub import Scrubbed, scrub
from index.snapshot import SUFFIX, open_snapshot
from index.store import Store
from index.table import DATABASE as POSTINGS
from index.table import Binding

_MOST_LINES = 20


class Damage(StrEnum):
    """What may be found."""

    DATABASE = "database"  # SQLite finds its own file damaged; a start may be refused
    ROWS_MISSING = "rows-missing"  # acknowledged rows are gone; a start is refused
    ROW = "row"  # one posting does not match its checksum; it is not served
    DERIVED = "derived"  # an index, the tags or a snapshot of FAISS; the next start makes them anew
    PICTURE = "picture"  # one picture does not match its checksum; it is not served
    ORPHAN = "orphan"  # a picture that no posting has; the next start removes it
    UNFINISHED = "unfinished"  # a reembed was broken off; the same command goes on, or its folder may be deleted


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written."""

    damage: Damage
    file: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a directory holds, and what is wrong with it; no finding means sound."""

    encoder_id: str
    postings: int
    pictures: int
    findings: tuple[Finding, ...]


def check_directory(path: Path) -> CheckReport:
    """
    Read every byte that matters, as a start would, and change nothing.

    Raises:
        DirectoryUnusable: there is no index.
        IndexLocked: an index is open on it.
        SchemaTooNew, DatabaseDamaged: the database cannot be opened at all.
    """
    quarantine = Quarantine()
    with stopped_store(path) as store, store.faults():
        binding = store.binding() or Binding("", {})
        findings = _integrity(store.connection, POSTINGS)
        found = scrub(store, quarantine, lambda batch: None)
        findings += _check_postings(path, store, found, sorted(quarantine.labels()))
        postings = store.recount().postings
        pictures, more = _check_pictures(path, found.image_digests)
    if (path / FOLDER).is_dir():
        more.append(Finding(Damage.UNFINISHED, FOLDER, "left by a reembed: run it again, or delete this folder"))
    return CheckReport(binding.encoder_id, postings, pictures, (*findings, *more))


def _check_postings(path: Path, store: Store, found: Scrubbed, damaged: Sequence[int]) -> Iterator[Finding]:
    for label in damaged:
        yield Finding(Damage.ROW, POSTINGS, f"row {label}, posting {store.id_of(label)}")
    try:
        check_high_water(store, recorded_mark(path))
        check_ledger(store, len(damaged))
    except RowsMissing as fault:
        yield Finding(Damage.ROWS_MISSING, POSTINGS, str(fault))
    if not found.indexes_agree:
        yield Finding(Damage.DERIVED, POSTINGS, "an index of the table disagrees with the rows")
    if not found.tags_agree:
        yield Finding(Damage.DERIVED, POSTINGS, "the tags disagree with the rows")
    for file in sorted(path.glob(f"*{SUFFIX}")):
        try:
            with open_snapshot(file) as snapshot:
                snapshot.verify()
        except SnapshotUnusable as exc:
            yield Finding(Damage.DERIVED, file.name, f"the snapshot is damaged: {exc}")


def _check_pictures(path: Path, in_use: Set[bytes] | None) -> tuple[int, list[Finding]]:
    """Hold the pictures to their checksums, and to the digests in use where no damaged row hides some."""
    if not (path / PICTURES).is_file():
        return 0, []
    try:
        with closing(open_pictures(path / PICTURES)) as connection, sqlite_faults(connection, PICTURES):
            findings = _integrity(connection, PICTURES)
            stored = dict(stored_pictures(connection))
            for image_digest, intact in stored.items():
                is_orphan = in_use is not None and image_digest not in in_use
                if is_orphan or not intact:
                    damage = Damage.ORPHAN if intact else Damage.PICTURE
                    findings.append(Finding(damage, PICTURES, f"picture of upload {image_digest.hex()}"))
    except DatabaseDamaged as fault:
        return 0, [Finding(Damage.DATABASE, PICTURES, str(fault))]
    return len(stored), findings


def _integrity(connection: apsw.Connection, file: str) -> list[Finding]:
    answers = [str(answer) for (answer,) in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})")]
    return [Finding(Damage.DATABASE, file, answer) for answer in answers if answer != "ok"]
