"""Several views as one vector, so that one inner product is the fused score."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


class Fusion:
    """
    The layout of one view set: its views one after another, each times the root of its weight.

    Args:
        views: the names, sorted.
        dimensions, weights: of these views at least.
    """

    def __init__(self, views: tuple[str, ...], dimensions: Mapping[str, int], weights: Mapping[str, float]) -> None:
        self.views = views
        self._weights = {view: float(weights[view]) for view in views}
        ends = np.cumsum([dimensions[view] for view in views])
        self.dimension = int(ends[-1])
        self._slices = {
            view: slice(int(end) - dimensions[view], int(end)) for view, end in zip(views, ends, strict=True)
        }

    def rows(self, halves: NDArray[np.float16]) -> NDArray[np.float32]:
        """Fuse stored vectors (n, dim): each view brought to length one, then weighted by the root of its weight."""
        rows = halves.astype(np.float32)
        for view, part in self._slices.items():
            squares = np.einsum("ij,ij->i", rows[:, part], rows[:, part], dtype=np.float64)
            rows[:, part] *= np.sqrt(self._weights[view] / squares).astype(np.float32)[:, None]
        return rows

    def query(self, units: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """
        A query (1, dim) whose inner product with a fused row is the fused score over the views in `units`.

        Args:
            units: unit vectors of views that this set has; the others stay zero and count for nothing.
        """
        total = self.total(units)
        row = np.zeros((1, self.dimension), dtype=np.float64)
        for view, unit in units.items():
            row[0, self._slices[view]] = unit * (np.sqrt(self._weights[view]) / total)
        return row.astype(np.float32)

    def part(self, view: str) -> slice:
        """Where a view lies in a row."""
        return self._slices[view]

    def total(self, shared: Iterable[str]) -> float:
        """The weight of these views together."""
        return sum(self._weights[view] for view in shared)

    def limits(self) -> NDArray[np.float32]:
        """(dim,): how large a component of a fused row can be, whatever the vectors are."""
        limits = np.empty(self.dimension, dtype=np.float32)
        for view, part in self._slices.items():
            limits[part] = np.sqrt(self._weights[view])
        return limits
