"""Milvus Lite: a graph in a directory of its own, by the client of the distributed engine."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient

_NAME = "postings"


class Store:
    """One collection."""

    efforts = (32, 64, 128, 256, 512, 1024)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._client = MilvusClient(str(folder / "milvus.db"))
        if not self._client.has_collection(_NAME):
            schema = MilvusClient.create_schema(auto_id=False)
            schema.add_field("number", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            graph = MilvusClient.prepare_index_params()
            graph.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 32, "efConstruction": 200})
            self._client.create_collection(_NAME, schema=schema, index_params=graph)
        self._client.load_collection(_NAME)

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows (n, dim)."""
        self._client.insert(_NAME, [{"number": number, "vector": row} for number, row in enumerate(rows, first)])

    def finish(self) -> None:
        """Write what is in memory, and close."""
        self._client.flush(_NAME)
        self._client.close()

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        wanted = {"metric_type": "IP", "params": {"ef": effort}}
        return [hit["number"] for hit in self._client.search(_NAME, [row], limit=k, search_params=wanted)[0]]
