"""Hold a data directory to all its promises, while no index is open on it: what `kembar check` prints."""

from collections.abc import Set
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import apsw

from index.books import check_high_water, check_ledger
from index.errors import DatabaseDamaged, DirectoryUnusable, RowsMissing
from index.faults import sqlite_faults
from index.flat import FlatIndex
from index.highwater import recorded_mark
from index.lock import DirectoryLock
from index.opening import HIGH_WATER
from index.pictures import DATABASE as PICTURES
from index.pictures import open_pictures, stored_pictures
from index.quarantine import Quarantine
from index.reembed import FOLDER
from index.refill import Filled, ids_disagree, refill, tags_disagree
from index.store import DATABASE as POSTINGS
from index.store import Binding, Store

_MOST_LINES = 20


class Damage(StrEnum):
    """What may be found."""

    DATABASE = "database"  # SQLite finds its own file damaged; a start may be refused
    ROWS_MISSING = "rows-missing"  # acknowledged rows are gone; a start is refused
    ROW = "row"  # one posting does not match its checksum; it is not served
    DERIVED = "derived"  # the index of ids or the tags; the next start rebuilds them
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
    if not (path / POSTINGS).is_file():
        raise DirectoryUnusable(f"{path} holds no index: no {POSTINGS}")
    quarantine = Quarantine()
    with ExitStack() as opened:
        opened.callback(DirectoryLock(path).release)
        store = Store(path)
        opened.callback(store.connection.close)
        with store.faults():
            findings, filled = _check_postings(path, store, quarantine)
            binding, postings = store.binding(), store.recount().postings
        in_use = None if quarantine.labels() else filled.image_digests
        pictures, more = _check_pictures(path, in_use)
    if (path / FOLDER).is_dir():
        more.append(Finding(Damage.UNFINISHED, FOLDER, "left by a reembed: run it again, or delete this folder"))
    return CheckReport(binding.encoder_id if binding else "", postings, pictures, (*findings, *more))


def _check_postings(path: Path, store: Store, quarantine: Quarantine) -> tuple[list[Finding], Filled]:
    findings = _integrity(store.connection, POSTINGS)
    binding = store.binding() or Binding("", {})
    filled = refill(store, FlatIndex(binding.dimensions, dict.fromkeys(binding.dimensions, 1.0)), quarantine)
    damaged = sorted(quarantine.labels())
    findings += [Finding(Damage.ROW, POSTINGS, f"row {label}, posting {store.id_of(label)}") for label in damaged]
    try:
        check_high_water(store, recorded_mark(path / HIGH_WATER))
        check_ledger(store, damaged=len(damaged))
    except RowsMissing as fault:
        findings.append(Finding(Damage.ROWS_MISSING, POSTINGS, str(fault)))
    if ids_disagree(store, filled, quarantine):
        findings.append(Finding(Damage.DERIVED, POSTINGS, "the index of ids disagrees with the rows"))
    if tags_disagree(store, filled, quarantine):
        findings.append(Finding(Damage.DERIVED, POSTINGS, "the tags disagree with the rows"))
    return findings, filled


def _check_pictures(path: Path, in_use: Set[bytes] | None) -> tuple[int, list[Finding]]:
    """Hold the pictures to their checksums, and to the digests in use where no damaged row hides some."""
    if not (path / PICTURES).is_file():
        return 0, []
    try:
        with closing(open_pictures(path / PICTURES)) as connection, sqlite_faults(connection, PICTURES):
            findings = _integrity(connection, PICTURES)
            count = 0
            for image_digest, intact in stored_pictures(connection):
                count += 1
                if not intact:
                    findings.append(Finding(Damage.PICTURE, PICTURES, f"picture of upload {image_digest.hex()}"))
                elif in_use is not None and image_digest not in in_use:
                    findings.append(Finding(Damage.ORPHAN, PICTURES, f"picture of upload {image_digest.hex()}"))
    except DatabaseDamaged as fault:
        return 0, [Finding(Damage.DATABASE, PICTURES, str(fault))]
    return count, findings


def _integrity(connection: apsw.Connection, file: str) -> list[Finding]:
    answers = [str(answer) for (answer,) in connection.execute(f"PRAGMA integrity_check({_MOST_LINES})")]
    return [Finding(Damage.DATABASE, file, answer) for answer in answers if answer != "ok"]
