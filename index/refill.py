"""What a start does: read and verify every row, fill FAISS, repair what is derived, check the books."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from index.errors import RowsMissing
from index.flat import FlatIndex, Placement
from index.quarantine import Quarantine
from index.rows import Row, metadata_of, tags_of
from index.store import Ledger, Store

logger = logging.getLogger(__name__)
_BATCH = 4_096
_CURE = "restore a backup, or start with --accept-loss to go on with what is there"


@dataclass(frozen=True, slots=True)
class Filled:
    """
    What the rows say that was read to fill FAISS.

    `ids` and `tags` are sums of hashes of (id, label) and (tag, label): they tell whether two sets are equal whatever
    their order, and without holding either.
    """

    ids: int
    tags: int
    image_digests: frozenset[bytes]


def check_high_water(store: Store, high_water: int | None) -> None:
    """
    Hold the database to the mark that was written after its last commit.

    Args:
        high_water: the last acknowledged sequence number, None where its file is new or damaged.

    Raises:
        RowsMissing: the database does not reach it.
    """
    sequence = store.ledger().sequence
    if high_water is not None and sequence < high_water:
        raise RowsMissing(
            f"expected the database to reach write {high_water}, got {sequence}: its last writes are missing "
            f"(was its -wal file lost, or an older copy put back?); {_CURE}"
        )


def refill(store: Store, flat: FlatIndex, quarantine: Quarantine) -> Filled:
    """Fill FAISS from the rows, leaving damaged ones out."""
    ids = tags = 0
    image_digests: set[bytes] = set()
    batch: list[Placement] = []
    for row in _sound_rows(store, quarantine):
        content = row.content
        ids += hash((content.posting_id, row.label))
        tags += sum(hash((tag, row.label)) for tag in _tags(row))
        if content.image_digest is not None:
            image_digests.add(content.image_digest)
        batch.append(Placement(row.label, content.views, content.vectors))
        if len(batch) == _BATCH:
            flat.apply(batch)
            batch.clear()
    flat.apply(batch)
    return Filled(ids, tags, frozenset(image_digests))


def repair_derived(store: Store, filled: Filled, quarantine: Quarantine) -> None:
    """Rebuild the index of ids and the tags where they disagree with the rows."""
    damaged = quarantine.labels()
    if filled.ids != sum(hash(entry) for entry in store.id_entries() if entry[1] not in damaged):
        logger.error("the index of ids disagrees with the rows and is rebuilt")
        store.connection.execute("REINDEX")
    if filled.tags != sum(hash(entry) for entry in store.tag_entries() if entry[1] not in damaged):
        logger.error("the tags disagree with the rows and are rebuilt")
        store.replace_tags((tag, row.label) for row in _sound_rows(store, quarantine) for tag in _tags(row))


def check_books(store: Store, damaged: int) -> None:
    """
    Hold the table to the ledger.

    Args:
        damaged: how many rows are quarantined; a damaged sequence number moves the sum, not the count.

    Raises:
        RowsMissing: acknowledged rows are gone, or older ones are back.
    """
    ledger = store.ledger()
    postings, sequence_sum = store.recount()
    agree = sequence_sum == ledger.sequence_sum and store.newest() <= ledger.sequence
    if postings != ledger.postings or not (agree or damaged):
        raise RowsMissing(
            f"expected {ledger.postings} postings as of write {ledger.sequence}, got {postings} or other ones: "
            f"rows were lost or brought back behind the index; {_CURE}"
        )
    if not agree:
        store.write_ledger(Ledger(ledger.sequence, postings, sequence_sum))


def accept_what_is_there(store: Store, high_water: int | None) -> None:
    """Make the ledger agree with the table, and never use a sequence number again."""
    postings, sequence_sum = store.recount()
    sequence = max(store.ledger().sequence, high_water or 0, store.newest())
    store.write_ledger(Ledger(sequence, postings, sequence_sum))


def _sound_rows(store: Store, quarantine: Quarantine) -> Iterator[Row]:
    for columns in store.raw_rows():
        yield from quarantine.sound([columns])


def _tags(row: Row) -> frozenset[str]:
    return tags_of(metadata_of(row.content))
