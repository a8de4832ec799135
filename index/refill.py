"""What a start does: read and verify every row, fill FAISS, repair what is derived, check the books."""

import logging
from collections.abc import Iterator

from index.errors import RowsMissing
from index.flat import FlatIndex, Placement
from index.quarantine import Quarantine
from index.rows import Row, metadata_of, tags_of
from index.store import Ledger, Store

logger = logging.getLogger(__name__)
_BATCH = 4_096
_CURE = "restore a backup, or start with --accept-loss to go on with what is there"


def refill(store: Store, flat: FlatIndex, quarantine: Quarantine) -> set[bytes]:
    """
    Fill FAISS from the rows, leaving damaged ones out, and rebuild the index of ids or the tags where they disagree.

    Returns:
        The image digests in use.
    """
    ids = tags = 0
    image_digests: set[bytes] = set()
    batch: list[Placement] = []
    for row in _sound_rows(store, quarantine):
        content = row.content
        # A sum of hashes tells whether two sets are equal, whatever their order and without holding either.
        ids += hash((content.posting_id, row.label))
        tags += sum(hash((tag, row.label)) for tag in _tags(row))
        if content.image_digest is not None:
            image_digests.add(content.image_digest)
        batch.append(Placement(row.label, content.views, content.vectors))
        if len(batch) == _BATCH:
            flat.apply(batch)
            batch.clear()
    flat.apply(batch)
    damaged = quarantine.labels()
    if ids != sum(hash(entry) for entry in store.id_entries() if entry[1] not in damaged):
        logger.error("the index of ids disagrees with the rows and is rebuilt")
        store.connection.execute("REINDEX")
    if tags != sum(hash(entry) for entry in store.tag_entries() if entry[1] not in damaged):
        logger.error("the tags disagree with the rows and are rebuilt")
        store.replace_tags((tag, row.label) for row in _sound_rows(store, quarantine) for tag in _tags(row))
    return image_digests


def check_books(store: Store, high_water: int | None, damaged: int) -> None:
    """
    Hold the table to the ledger and to the high-water mark.

    Args:
        high_water: the last acknowledged sequence number, None where its file was new or damaged.
        damaged: how many rows are quarantined; a damaged sequence number moves the sum, not the count.

    Raises:
        RowsMissing: acknowledged rows are gone, or older ones are back.
    """
    ledger = store.ledger()
    if high_water is not None and ledger.sequence < high_water:
        raise RowsMissing(
            f"expected the database to reach write {high_water}, got {ledger.sequence}: its last writes are missing "
            f"(was its -wal file lost, or an older copy put back?); {_CURE}"
        )
    postings, sequence_sum = store.recount()
    if postings != ledger.postings or (not damaged and not _agree(ledger, sequence_sum, store.newest())):
        raise RowsMissing(
            f"expected {ledger.postings} postings as of write {ledger.sequence}, got {postings} or other ones: "
            f"rows were lost or brought back behind the index; {_CURE}"
        )
    if sequence_sum != ledger.sequence_sum:
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


def _agree(ledger: Ledger, sequence_sum: int, newest: int) -> bool:
    return sequence_sum == ledger.sequence_sum and newest <= ledger.sequence
