"""Chroma embedded: a graph beside SQLite. Its width of search is fixed at creation, so there is one effort."""

from pathlib import Path

import chromadb
import numpy as np
from chromadb.config import Settings
from numpy.typing import NDArray


class Store:
    """One collection."""

    efforts = (400,)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        client = chromadb.PersistentClient(folder, Settings(anonymized_telemetry=False))
        graph = {"space": "ip", "max_neighbors": 32, "ef_construction": 200, "ef_search": self.efforts[0]}
        self._rows = client.get_or_create_collection("postings", configuration={"hnsw": graph})

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows (n, dim)."""
        self._rows.add([str(number) for number in range(first, first + len(rows))], embeddings=rows)

    def finish(self) -> None:
        """Nothing is left to do: there is no call to close."""

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        return [int(number) for number in self._rows.query(row[None], n_results=k, include=[])["ids"][0]]
