"""Bare FAISS, every row compared: exact; in memory until it is written to a file."""

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray


class Store:
    """Rows are numbered as they come."""

    efforts = (0,)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        faiss.omp_set_num_threads(1)  # faster for one query than more
        self._file = folder / "rows.faiss"
        self._index = faiss.read_index(str(self._file)) if self._file.exists() else faiss.IndexFlatIP(dimension)

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Keep rows (n, dim)."""
        self._index.add(np.ascontiguousarray(rows))

    def finish(self) -> None:
        """Write the file."""
        faiss.write_index(self._index, str(self._file))

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        return self._index.search(row[None], k)[1][0].tolist()
