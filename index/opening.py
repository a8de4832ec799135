"""From a directory to the parts of an open index: nothing is changed before everything was found in order."""

import logging
import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from index.books import accept_what_is_there, check_database, check_high_water, check_ledger, settle_ledger
from index.errors import DirectoryUnusable
from index.faults import file_faults
from index.flat import FlatIndex
from index.highwater import HighWater
from index.lock import DirectoryLock
from index.pictures import Pictures
from index.quarantine import Quarantine
from index.reader import Reader
from index.refill import Filled, refill, repair_derived
from index.store import DATABASE, Binding, Store

HIGH_WATER = "high-water"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """An open index in parts; `resources` closes them, the lock last."""

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
    with ExitStack() as opened:
        opened.callback(DirectoryLock(path).release)
        with file_faults(HIGH_WATER):
            high_water = HighWater(path / HIGH_WATER)
        opened.callback(high_water.close)
        if not accept_loss:
            check_database(path / DATABASE, high_water.read())
        store = Store(path)
        opened.callback(store.connection.close)
        flat, quarantine = FlatIndex(binding.dimensions, weights), Quarantine()
        with store.faults():
            store.bind(binding)
            if accept_loss:
                accept_what_is_there(store, high_water.read())
            mark = high_water.read()
            if mark is None and store.ledger().sequence:
                logger.warning("the high-water mark is missing or damaged and is made anew")
            check_high_water(store, mark)
            filled = refill(store, flat, quarantine)
            check_ledger(store, damaged=len(quarantine.labels()))
            settle_ledger(store)
            repair_derived(store, filled, quarantine)
        with file_faults(HIGH_WATER):
            high_water.write(store.ledger().sequence)
            high_water.sync()
        pictures = _open_pictures(path, filled, quarantine)
        opened.callback(pictures.close)
        with file_faults(path.name):
            sync_path(path)
        reader = Reader(path)
        opened.callback(reader.close)
        return Parts(store, high_water, pictures, reader, flat, quarantine, opened.pop_all())


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


def _open_pictures(path: Path, filled: Filled, quarantine: Quarantine) -> Pictures:
    pictures = Pictures(path)
    if not quarantine.labels():  # a damaged row may have a picture and cannot say so
        pictures.remove_all_but(filled.image_digests)
    return pictures


def sync_path(path: Path) -> None:
    """Bring a file, or the names of files in a directory, to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
