"""From a directory to the parts of an open index: nothing is changed before everything was found in order."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.books import accepted_ledger, check_database, check_high_water, check_ledger
from index.errors import DirectoryUnusable
from index.faults import file_faults
from index.flat import FlatIndex
from index.highwater import HIGH_WATER, HighWater
from index.lock import own_directory
from index.pictures import Pictures
from index.quarantine import Quarantine
from index.reader import Reader
from index.refill import refill, repair_derived
from index.store import DATABASE, Binding, Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """An open index in parts; `resources` closes them, the lock last. Whoever holds them keeps the directory."""

    store: Store
    high_water: HighWater
    pictures: Pictures
    reader: Reader
    flat: FlatIndex
    quarantine: Quarantine
    resources: ExitStack


def open_parts(path: Path, binding: Binding, weights: Mapping[str, float], *, accept_loss: bool) -> Parts:
    """Take the directory, check it, fill FAISS. Arguments and errors are those of `Index.open`."""
    _check_weights(weights, binding.dimensions)
    _make_directory(path)
    flat, quarantine = FlatIndex(binding.dimensions, weights), Quarantine()
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
            filled = refill(store, flat, quarantine)
            damaged = len(quarantine.labels())
            ledger = accepted_ledger(store, mark) if accept_loss else check_ledger(store, damaged)
            if ledger != store.ledger():
                store.write_ledger(ledger)
            repair_derived(store, filled, quarantine)
        with file_faults(HIGH_WATER):
            high_water.write(ledger.sequence)
            high_water.sync()
        pictures = opened.enter_context(closing(Pictures(path)))
        if filled.image_digests is not None:
            pictures.remove_all_but(filled.image_digests)
        with file_faults(path.name):
            sync_path(path)
        reader = opened.enter_context(closing(Reader(path, quarantine)))
        return Parts(store, high_water, pictures, reader, flat, quarantine, opened.pop_all())


@contextmanager
def stopped_store(path: Path) -> Iterator[Store]:
    """The database of an index that is not open, in a directory that this process owns meanwhile; raises CannotOpen."""
    if not (path / DATABASE).is_file():
        raise DirectoryUnusable(f"{path} holds no index: no {DATABASE}")
    with own_directory(path), closing(Store(path)) as store:
        yield store


def sync_path(path: Path) -> None:
    """Bring a file, or the names of files in a directory, to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_weights(weights: Mapping[str, float], dimensions: Mapping[str, int]) -> None:
    for view in dimensions:
        weight = weights.get(view, 0.0)
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"{view}: expected a positive weight, got {weight}")


def _make_directory(path: Path) -> None:
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True, exist_ok=True)  # another may have made it this moment
        sync_path(path.parent)
    except OSError as exc:
        raise DirectoryUnusable(f"cannot make the directory {path}: {exc.strerror}; choose another place") from exc
