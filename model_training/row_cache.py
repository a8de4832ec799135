"""Rows computed once and kept on disk: a run that was broken off goes on where it stood."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from tqdm import tqdm

_DONE = 1
_FLUSH_SECONDS = 5.0  # a flush waits for the disk: after every chunk it took half of the time

Compute = Callable[[NDArray[np.int64]], tuple[NDArray[Any], NDArray[np.bool_]]]


class RowCache:
    """
    A memory-mapped array of `rows` rows of one shape, with a mark for each row that is done.

    Rows are marked after they were flushed, so that a mark is never ahead of its row. The directory's name carries the
    key of everything that determines the rows: a cache is never asked whether it is stale.
    """

    def __init__(self, directory: Path, *, rows: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.array = _open(directory / "rows.npy", (rows, *shape), np.dtype(dtype))
        self._marks = _open(directory / "done.npy", (rows,), np.dtype(np.uint8))

    @property
    def done(self) -> NDArray[np.bool_]:
        """(rows,) True where the row is there."""
        return np.asarray(self._marks == _DONE)

    def fill(self, compute: Compute, *, chunk: int, label: str) -> None:
        """
        Compute the rows that are missing.

        Args:
            compute: row numbers (m,) -> (rows (m, *shape), usable (m,) bool); an unusable row stays undone.
            chunk: rows a call; a killed run loses the chunks of the last five seconds, one that raises only its own.
            label: said beside the progress bar.
        """
        missing = np.flatnonzero(~self.done)
        fresh: list[NDArray[np.int64]] = []
        flushed = time.monotonic()
        with tqdm(total=len(self._marks), initial=len(self._marks) - len(missing), desc=label, disable=None) as bar:
            try:
                for start in range(0, len(missing), chunk):
                    numbers = missing[start : start + chunk]
                    rows, usable = compute(numbers)
                    self.array[numbers[usable]] = rows[usable]
                    fresh.append(numbers[usable])
                    if time.monotonic() - flushed > _FLUSH_SECONDS:
                        self._mark(fresh)
                        flushed = time.monotonic()
                    bar.update(len(numbers))
            finally:
                self._mark(fresh)

    def _mark(self, fresh: list[NDArray[np.int64]]) -> None:
        self.array.flush()
        for numbers in fresh:
            self._marks[numbers] = _DONE
        self._marks.flush()
        fresh.clear()


def _open(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "np.memmap[Any, Any]":
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    fresh = path.with_suffix(".new")
    np.lib.format.open_memmap(fresh, mode="w+", dtype=dtype, shape=shape).flush()
    try:
        with fresh.open("r+b") as file:  # takes the room now: a full disk would kill a process that writes to a hole
            os.posix_fallocate(file.fileno(), 0, fresh.stat().st_size)
    except OSError as exc:
        size = fresh.stat().st_size / 1e6
        fresh.unlink()
        raise OSError(exc.errno, f"expected room for {size:,.1f} MB, got: {exc.strerror}", str(path)) from exc
    fresh.rename(path)
    return np.lib.format.open_memmap(path, mode="r+")
