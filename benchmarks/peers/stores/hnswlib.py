"""hnswlib: a graph, in memory until it is written to a file."""

from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray


class Store:
    """Rows have labels of our own."""

    efforts = (32, 64, 128, 256, 512, 1024)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._file = folder / "rows.hnsw"
        self._index = hnswlib.Index("ip", dimension)
        if self._file.exists():
            self._index.load_index(str(self._file), max_elements=capacity)
        else:
            self._index.init_index(capacity, M=32, ef_construction=200)

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Keep rows (n, dim)."""
        self._index.add_items(rows, np.arange(first, first + len(rows)))

    def finish(self) -> None:
        """Write the file."""
        self._index.save_index(str(self._file))

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        self._index.set_ef(effort)
        return self._index.knn_query(row[None], k)[0][0].tolist()
