"""From a directory to the parts of an open index: nothing is changed before everything was found in order."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.books import accepted_ledger, check_database, check_high_water, check_ledger
from index.directory import make_directory, own_directory, sync_path
from index.errors import DirectoryUnusable
from index.faults import file_faults
from index.highwater import HIGH_WATER, HighWater
from index.pictures import Pictures
from index.quarantine import Quarantine
from index.reader import Reader
from index.resuming import refill, resume
from index.scrub import repair
from index.snapshot import Identity, remove_snapshots
from index.store import Store
from index.table import DATABASE, Binding
from index.tuning import Tuning
from index.viewsets import ViewSets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """
    An open index in parts; `resources` closes them, the lock last. Whoever holds them keeps the directory.

    `snapshots` tells which view sets came from a snapshot, and when each was written (seconds since 1970); their rows
    have not been verified yet.
    """

    store: Store
    high_water: HighWater
    pictures: Pictures
    reader: Reader
    sets: ViewSets
    quarantine: Quarantine
    snapshots: Mapping[bytes, int]
    resources: ExitStack


def open_parts(
    path: Path, binding: Binding, weights: Mapping[str, float], tuning: Tuning, *, accept_loss: bool
) -> Parts:
    """Take the directory, check it, fill FAISS. Arguments and errors are those of `Index.open`."""
    _check_weights(weights, binding.dimensions)
    make_directory(path)
    sets, quarantine = ViewSets(binding.dimensions, weights), Quarantine()
    identity = Identity(binding.encoder_id, dict(binding.dimensions), dict(weights))
    with ExitStack() as opened:
        opened.enter_context(own_directory(path))
        with file_faults(HIGH_WATER):
            high_water = opened.enter_context(closing(HighWater(path / HIGH_WATER)))
        mark = high_water.read()
        if not accept_loss:
            check_database(path / DATABASE, mark)
        store = opened.enter_context(closing(Store(path)))
        with store.faults():
            store.bind(binding)
            if mark is None and store.ledger().sequence:
                logger.warning("the high-water mark is missing or damaged and is made anew")
            if not accept_loss:
                check_high_water(store, mark)
            # Where rows were lost, a snapshot may have what the table once held.
            snapshots = None if accept_loss else resume(path, store, sets, quarantine, identity, tuning)
            scrubbed = None
            if snapshots is None:
                scrubbed = refill(store, sets, quarantine, identity, tuning)
                damaged = len(quarantine.labels())
                ledger = accepted_ledger(store, mark) if accept_loss else check_ledger(store, damaged)
                if ledger != store.ledger():
                    store.write_ledger(ledger)
                repair(store, quarantine, indexes_agree=scrubbed.indexes_agree, tags_agree=scrubbed.tags_agree)
            sets.sequence = sequence = store.ledger().sequence
        with file_faults(HIGH_WATER):
            high_water.write(sequence)
            high_water.sync()
        pictures = opened.enter_context(closing(Pictures(path)))
        if scrubbed is not None and scrubbed.image_digests is not None:
            pictures.remove_all_but(scrubbed.image_digests)
        with file_faults(path.name):
            remove_snapshots(path, keep=snapshots or ())
            sync_path(path)
        reader = opened.enter_context(closing(Reader(path, quarantine)))
        return Parts(store, high_water, pictures, reader, sets, quarantine, snapshots or {}, opened.pop_all())


@contextmanager
def stopped_store(path: Path) -> Iterator[Store]:
    """The database of an index that is not open, in a directory that this process owns meanwhile; raises CannotOpen."""
    if not (path / DATABASE).is_file():
        raise DirectoryUnusable(f"{path} holds no index: no {DATABASE}")
    with own_directory(path), closing(Store(path)) as store:
        yield store


def _check_weights(weights: Mapping[str, float], dimensions: Mapping[str, int]) -> None:
    for view in dimensions:
        weight = weights.get(view, 0.0)
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"{view}: expected a positive weight, got {weight}")
