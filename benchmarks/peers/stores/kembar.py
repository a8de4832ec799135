"""Kembar's own index: exact by its promise or searched in lists, as it decides; rows come checked and scored anew."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.index import Index
from index.postings import Draft

VIEW = "image"


class Store:
    """One view, one row a posting."""

    efforts = (0,)

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        self._index = Index.open(folder, encoder_id="peers", dimensions={VIEW: dimension}, weights={VIEW: 1.0})

    def add(self, first: int, rows: NDArray[np.float32]) -> None:
        """Write rows (n, dim) under the numbers from `first` on; on return they are acknowledged."""
        drafts = (Draft(str(number), None, {}, {VIEW: row}) for number, row in enumerate(rows, first))
        for write in [self._index.put(draft) for draft in drafts]:
            write.result()

    def finish(self) -> None:
        """Stop as an operator does."""
        self._index.close()

    def search(self, row: NDArray[np.float32], k: int, effort: int) -> list[int]:
        """The numbers of the nearest k."""
        hits = self._index.search({VIEW: row}, k=k, floors=lambda views: -1.0)
        return [int(hit.posting.posting_id) for hit in hits[:k]]
