"""Bare FAISS, a graph: in memory until it is written to a file."""

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray


class Store:
    """Rows are numbered as they come."""

    efforts = (32, 64, 128, 256, 512, 1024)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._file = folder / "rows.faiss"
        if self._file.exists():
            self._index = faiss.read_index(str(self._file))
        else:
            self._index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efConstruction = 200

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Keep rows (n, dim)."""
        self._index.add(np.ascontiguousarray(rows))

    def finish(self) -> None:
        """Write the file."""
        faiss.write_index(self._index, str(self._file))

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        self._index.hnsw.efSearch = effort
        return self._index.search(row[None], k)[1][0].tolist()
