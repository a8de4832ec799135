"""Read and verify every row, and hold what else is derived from the rows to them."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from index.pictures import stored_digests
from index.quarantine import Quarantine
from index.sqlite import open_reader
from index.store import Store
from index.table import DATABASE, Table
from index.viewsets import Placement

logger = logging.getLogger(__name__)
_BATCH = 4_096


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """
    What the sound rows say: the pictures in use, and whether the table's indexes and the tags agree with the rows.

    The pictures are None where a damaged row may have one and cannot say so.
    """

    image_digests: frozenset[bytes] | None
    indexes_agree: bool
    tags_agree: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a database: labels of damaged rows, and (hex) of pictures that no posting has."""

    damaged: Sequence[int]
    indexes_agree: bool
    tags_agree: bool
    unused_pictures: Sequence[str]


def scrub(table: Table, quarantine: Quarantine, place: Callable[[Sequence[Placement]], None]) -> Scrubbed:
    """Verify all rows, hand the sound ones to `place`, and compare; nothing may be written meanwhile."""
    # Sums of hashes of (id, label) and the like tell whether two sets are equal whatever their order, and without
    # holding either.
    indexed = tags = 0
    image_digests: set[bytes] = set()
    batch: list[Placement] = []
    for row in quarantine.sound(table.raw_rows()):
        content = row.content
        indexed += hash((content.posting_id, row.label)) + hash((content.views, row.sequence, row.label))
        tags += sum(hash((tag.encode(), row.label)) for tag in row.tags)
        if content.image_digest is not None:
            image_digests.add(content.image_digest)
        batch.append(Placement(row.label, content.views, content.vectors))
        if len(batch) == _BATCH:
            place(batch)
            batch.clear()
    place(batch)

    damaged = quarantine.labels()

    def total(entries: Iterable[tuple[object, ...]]) -> int:
        return sum(hash(entry) for entry in entries if entry[-1] not in damaged)

    in_use = None if damaged else frozenset(image_digests)
    indexes_agree = indexed == total(table.id_entries()) + total(table.views_entries())
    return Scrubbed(in_use, indexes_agree, tags == total(table.tag_entries()))


def examine(directory: Path) -> Verdict:
    """
    Scrub a database beside its open index, as of one moment: while this reads, the log cannot be cut.

    A posting that is being written may have its picture among the unused; whoever removes those looks again.
    """
    with closing(Table(open_reader(directory / DATABASE))) as table, table.faults(), table.connection:
        pictures = stored_digests(directory)
        quarantine = Quarantine()
        found = scrub(table, quarantine, lambda batch: None)
    unused = () if found.image_digests is None else pictures - found.image_digests
    return Verdict(
        damaged=sorted(quarantine.labels()),
        indexes_agree=found.indexes_agree,
        tags_agree=found.tags_agree,
        unused_pictures=sorted(digest.hex() for digest in unused),
    )


def repair(store: Store, quarantine: Quarantine, *, indexes_agree: bool, tags_agree: bool) -> None:
    """Build the indexes and the tags anew where they disagree with the rows."""
    if not indexes_agree:
        logger.error("an index of the table disagrees with the rows and is rebuilt")
        store.reindex()
    if not tags_agree:
        logger.error("the tags disagree with the rows and are rebuilt")
        store.replace_tags((tag, row.label) for row in quarantine.sound(store.raw_rows()) for tag in row.tags)
