"""Qdrant's local mode: exact, every row compared by numpy, rows kept in SQLite."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient
from qdrant_client.models import Batch, Distance, VectorParams

_NAME = "postings"


class Store:
    """One collection."""

    efforts = (0,)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._client = QdrantClient(path=str(folder))
        if not self._client.collection_exists(_NAME):
            self._client.create_collection(_NAME, VectorParams(size=dimension, distance=Distance.DOT))

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows (n, dim)."""
        self._client.upsert(_NAME, Batch(ids=list(range(first, first + len(rows))), vectors=rows.tolist()))

    def finish(self) -> None:
        """Close."""
        self._client.close()

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        return [point.id for point in self._client.query_points(_NAME, row, limit=k, with_payload=False).points]
