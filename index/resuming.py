"""What a start does to FAISS: take the snapshots and the rows after them, or read and verify every row."""

import logging
from collections.abc import Mapping
from pathlib import Path

from index.building import fill, restore, train_set
from index.errors import SnapshotUnusable
from index.flat import FlatSet
from index.quarantine import Quarantine
from index.scrub import Scrubbed, scrub
from index.snapshot import Identity, snapshot_path
from index.table import Table
from index.tuning import Tuning
from index.viewsets import ViewSet, ViewSets

logger = logging.getLogger(__name__)


def resume(
    directory: Path, table: Table, sets: ViewSets, quarantine: Quarantine, identity: Identity, tuning: Tuning
) -> Mapping[bytes, int] | None:
    """
    Fill FAISS from the snapshots and the few rows besides, where they and the ledger agree with the table.

    Rows that are taken from a snapshot are verified when they are read, and all of them in the background.

    Returns:
        When each snapshot was written (seconds since 1970), or None where every row has to be read instead.
    """
    counts = {views: count for views, count in table.view_sets().items() if _known(views, identity)}
    large = [views for views, count in counts.items() if _is_large(directory, views, count, tuning)]
    ledger, found = table.ledger(), table.recount_quickly()
    if not large or (found.postings, found.sequence_sum) != (ledger.postings, ledger.sequence_sum):
        return None
    made: dict[bytes, ViewSet] = {}
    written = {}
    try:
        for views in large:
            made[views], written[views] = restore(directory, table, quarantine, views, sets.fusion(views), identity)
    except SnapshotUnusable as exc:
        logger.warning("a snapshot cannot be used; all rows are read instead", extra={"reason": str(exc)})
        return None
    for views in counts.keys() - made.keys():
        made[views] = FlatSet(sets.fusion(views))
        fill(made[views], table, quarantine, views, table.labels_of(views))
    for views, one in made.items():
        sets.place(views, one)
    return written


def refill(table: Table, sets: ViewSets, quarantine: Quarantine, identity: Identity, tuning: Tuning) -> Scrubbed:
    """Fill FAISS from all rows, each verified; large sets are trained first."""
    for views, count in table.view_sets().items():
        if count >= tuning.ivf_from and _known(views, identity):
            sets.place(views, train_set(table, quarantine, views, sets.fusion(views), tuning))
    return scrub(table, quarantine, lambda batch: sets.apply(batch, 0))


def _is_large(directory: Path, views: bytes, count: int, tuning: Tuning) -> bool:
    # A set that shrank stays as it is down to half the size.
    return count >= tuning.ivf_from or (count >= tuning.ivf_from / 2 and snapshot_path(directory, views).exists())


def _known(views: object, identity: Identity) -> bool:
    """Whether this can be a view set; in a damaged row it may be anything."""
    return isinstance(views, bytes) and set(views.decode(errors="replace").split("+")) <= identity.dimensions.keys()
