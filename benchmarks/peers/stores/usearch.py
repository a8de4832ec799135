"""usearch: a graph over bfloat16 rows, its default, in memory until it is written to a file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index


class Store:
    """Rows have keys of our own."""

    efforts = (32, 64, 128, 256, 512, 1024)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._file = folder / "rows.usearch"
        self._index = Index(ndim=dimension, metric="ip", connectivity=32, expansion_add=200)
        if self._file.exists():
            self._index.load(str(self._file))

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Keep rows (n, dim)."""
        self._index.add(np.arange(first, first + len(rows)), rows)

    def finish(self) -> None:
        """Write the file."""
        self._index.save(str(self._file))

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        self._index.expansion_search = effort
        return self._index.search(row, k).keys.tolist()
