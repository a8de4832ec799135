"""What a start does: read and verify every row, fill FAISS, and repair what else is derived from the rows."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from index.flat import FlatIndex, Placement
from index.quarantine import Quarantine
from index.store import Store

logger = logging.getLogger(__name__)
_BATCH = 4_096


@dataclass(frozen=True, slots=True)
class Filled:
    """
    What the sound rows say: the pictures in use, and whether the index of ids and the tags agree with the rows.

    The pictures are None where a damaged row may have one and cannot say so.
    """

    image_digests: frozenset[bytes] | None
    ids_agree: bool
    tags_agree: bool


def refill(store: Store, flat: FlatIndex, quarantine: Quarantine) -> Filled:
    """Fill FAISS from the rows, leaving damaged ones out."""
    # Sums of hashes of (id, label) and (tag, label) tell whether two sets are equal whatever their order, and without
    # holding either.
    ids = tags = 0
    image_digests: set[bytes] = set()
    batch: list[Placement] = []
    for row in quarantine.sound(store.raw_rows()):
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

    damaged = quarantine.labels()

    def agree(derived: Iterable[tuple[bytes, int]], expected: int) -> bool:
        return expected == sum(hash(entry) for entry in derived if entry[1] not in damaged)

    in_use = None if damaged else frozenset(image_digests)
    return Filled(in_use, agree(store.id_entries(), ids), agree(store.tag_entries(), tags))


def repair_derived(store: Store, filled: Filled, quarantine: Quarantine) -> None:
    """Rebuild the index of ids and the tags where they disagree with the rows."""
    if not filled.ids_agree:
        logger.error("the index of ids disagrees with the rows and is rebuilt")
        store.reindex()
    if not filled.tags_agree:
        logger.error("the tags disagree with the rows and are rebuilt")
        store.replace_tags((tag, row.label) for row in quarantine.sound(store.raw_rows()) for tag in row.tags)
