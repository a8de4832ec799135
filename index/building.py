"""From rows to view sets: trained on a sample, filled from the rows, or taken from a snapshot and the rows after it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotUnusable
from index.fusion import Fusion
from index.ivf import IvfSet
from index.quarantine import Quarantine
from index.snapshot import Identity, load_set, open_snapshot, snapshot_path, write_snapshot
from index.sqlite import open_reader
from index.table import DATABASE, Table
from index.training import learn_centroids, list_count, measure_probes, sample_size
from index.tuning import Tuning
from index.viewsets import Placement, ViewSet, by_views, prepared

_SEED = 0
_BATCH = 4_096


def train_set(table: Table, quarantine: Quarantine, views: bytes, fusion: Fusion, tuning: Tuning) -> IvfSet:
    """An empty set, ready for the postings of a view set as it is now."""
    labels = table.labels_of(views)
    chosen = np.random.default_rng(_SEED).choice(labels, sample_size(len(labels), tuning), replace=False)
    sample = np.empty((len(chosen), fusion.dimension), dtype=np.float32)
    count = 0
    for batch in placements(table, quarantine, chosen):
        blobs = [placement.vectors or b"" for placement in by_views(batch).get(views, [])]
        halves = np.frombuffer(b"".join(blobs), dtype="<f2").astype(np.float16, copy=False)
        sample[count : count + len(blobs)] = fusion.rows(halves.reshape(len(blobs), -1))
        count += len(blobs)
    # Rows came in order of label within each batch; neighbours in time may be neighbours in space.
    sample = np.random.default_rng(_SEED).permutation(sample[:count])
    lists = min(list_count(len(labels), tuning), count)
    centroids = learn_centroids(sample, lists, tuning.rounds)
    return IvfSet(fusion, centroids, measure_probes(sample, centroids, fusion, tuning), len(labels))


def fill(made: ViewSet, table: Table, quarantine: Quarantine, views: bytes, labels: NDArray[np.int64]) -> None:
    """Put those of the rows that are sound, and still of this view set; none of them is in the set."""
    waiting: list[Placement] = []
    for batch in placements(table, quarantine, labels):
        waiting += by_views(batch).get(views, [])
        if len(waiting) >= _BATCH:
            prepared(made, waiting)()
            waiting.clear()
    if waiting:
        prepared(made, waiting)()


def restore(
    directory: Path, table: Table, quarantine: Quarantine, views: bytes, fusion: Fusion, identity: Identity
) -> tuple[IvfSet, int]:
    """
    The set of a snapshot, brought to what the table holds, and when the file was written (seconds since 1970).

    Raises:
        SnapshotUnusable: missing, damaged, made with something else, or newer than the database.
    """
    with open_snapshot(snapshot_path(directory, views)) as snapshot:
        if not snapshot.fits(identity.of(views)):
            raise SnapshotUnusable("made with other encoders or weights")
        if snapshot.sequence > table.ledger().sequence:
            raise SnapshotUnusable("newer than the database")
        keep = table.labels_of(views, until=snapshot.sequence)
        made, missing = load_set(snapshot, fusion, keep)
        later = table.labels_of(views, after=snapshot.sequence)
        fill(made, table, quarantine, views, np.union1d(missing, np.setdiff1d(later, keep)))
        return made, snapshot.written_s


def build_snapshot(directory: Path, views: bytes, identity: Identity, tuning: Tuning) -> None:
    """
    Train and fill a set beside an open index, and leave it as the snapshot.

    Reads by a connection of its own, in short transactions; what is written meanwhile comes after the snapshot's
    sequence number. Raises OSError and what reading may raise.
    """
    with closing(Table(open_reader(directory / DATABASE))) as table, table.faults():
        sequence, quarantine = table.ledger().sequence, Quarantine()
        fusion = Fusion(tuple(views.decode().split("+")), identity.dimensions, identity.weights)
        made = train_set(table, quarantine, views, fusion, tuning)
        fill(made, table, quarantine, views, table.labels_of(views))
        write_snapshot(snapshot_path(directory, views), identity.of(views), made, sequence, made.list_entries)


def placements(table: Table, quarantine: Quarantine, labels: NDArray[np.int64]) -> Iterator[list[Placement]]:
    """The sound rows of these labels, some at a time."""
    for columns in table.columns_of(labels):
        sound = quarantine.sound(columns)
        yield [Placement(row.label, row.content.views, row.content.vectors) for row in sound]
