"""Chroma embedded: a graph beside SQLite. A width of search that was set counts from the next opening on."""

from pathlib import Path

import chromadb
import numpy as np
from chromadb.config import Settings
from numpy.typing import NDArray

_GRAPH = {"space": "ip", "max_neighbors": 32, "ef_construction": 200}


class Store:
    """One collection."""

    efforts = (100, 200, 400, 800)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._folder, self._effort = folder, 0
        self._open()

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows (n, dim)."""
        self._rows.add([str(number) for number in range(first, first + len(rows))], embeddings=rows)

    def finish(self) -> None:
        """Nothing is left to do: there is no call to close."""

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        if effort != self._effort:
            self._rows.modify(configuration={"hnsw": {"ef_search": effort}})
            self._client.clear_system_cache()  # else the process goes on with what it has open
            self._effort = effort
            self._open()
        return [int(number) for number in self._rows.query(row[None], n_results=k, include=[])["ids"][0]]

    def _open(self) -> None:
        self._client = chromadb.PersistentClient(self._folder, Settings(anonymized_telemetry=False))
        self._rows = self._client.get_or_create_collection("postings", configuration={"hnsw": _GRAPH})
