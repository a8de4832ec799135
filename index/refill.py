"""What a start does: read and verify every row, fill FAISS, and repair what else is derived from the rows."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from index.errors import CorruptRow
from index.flat import FlatIndex, Placement
from index.quarantine import Quarantine
from index.rows import Row
from index.store import Store

logger = logging.getLogger(__name__)
_BATCH = 4_096


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


def refill(store: Store, flat: FlatIndex, quarantine: Quarantine) -> Filled:
    """Fill FAISS from the rows, leaving damaged ones out."""
    ids = tags = 0
    image_digests: set[bytes] = set()
    batch: list[Placement] = []
    for row in _sound_rows(store, quarantine):
        content = row.content
        ids += hash((content.posting_id, row.label))
        tags += sum(hash((tag.encode(), row.label)) for tag in row.tags)
        if content.image_digest is not None:
            image_digests.add(content.image_digest)
        batch.append(Placement(row.label, content.views, content.vectors))
        if len(batch) == _BATCH:
            flat.apply(batch)
            batch.clear()
    flat.apply(batch)
    return Filled(ids, tags, frozenset(image_digests))


def ids_disagree(store: Store, filled: Filled, quarantine: Quarantine) -> bool:
    """Whether the index of ids holds other ids than the rows."""
    damaged = quarantine.labels()
    return filled.ids != sum(hash(entry) for entry in store.id_entries() if entry[1] not in damaged)


def tags_disagree(store: Store, filled: Filled, quarantine: Quarantine) -> bool:
    """Whether the table of tags holds others than the rows' metadata."""
    damaged = quarantine.labels()
    return filled.tags != sum(hash(entry) for entry in store.tag_entries() if entry[1] not in damaged)


def repair_derived(store: Store, filled: Filled, quarantine: Quarantine) -> None:
    """Rebuild the index of ids and the tags where they disagree with the rows."""
    if ids_disagree(store, filled, quarantine):
        logger.error("the index of ids disagrees with the rows and is rebuilt")
        store.reindex()
    if tags_disagree(store, filled, quarantine):
        logger.error("the tags disagree with the rows and are rebuilt")
        store.replace_tags((tag, row.label) for row in _sound_rows(store, quarantine) for tag in row.tags)


def _sound_rows(store: Store, quarantine: Quarantine) -> Iterator[Row]:
    for columns in store.raw_rows():
        try:
            row = quarantine.admit(columns)
        except CorruptRow:
            continue
        yield row
