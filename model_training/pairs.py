"""What one epoch shows a network: pairs of postings, or batches in which postings of one product meet."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pairs:
    """`left`, `right` (p,) int64 row numbers; `same` (p,) bool, True where both are of one group."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    same: NDArray[np.bool_]

    def take(self, which: slice | NDArray[np.int64]) -> "Pairs":
        """Some of them, in this order."""
        return Pairs(self.left[which], self.right[which], self.same[which])

    def batches(self, size: int) -> Iterator["Pairs"]:
        """So many at a time."""
        return (self.take(slice(start, start + size)) for start in range(0, len(self.left), size))


def sample_pairs(
    groups: NDArray[np.int64], components: NDArray[np.int64], *, num_neg: int, rng: np.random.Generator
) -> Pairs:
    """
    Draw one epoch of pairs, shuffled (the paper's sampling: `num_neg` random negatives per positive).

    Args:
        groups: (n,) the product of each row.
        components: (n,) the super-component of each row; a negative is of another one, so that two products that share
            a stock photograph are never pushed apart by it.

    Returns:
        For each row of a group of two or more: one positive and `num_neg` negatives.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
    sizes = np.diff(np.r_[starts, len(groups)])
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    paired = np.flatnonzero(size > 1)
    step = rng.integers(1, size[paired])
    partner = start[paired] + (paired - start[paired] + step) % size[paired]
    anchors = order[paired]
    left = np.repeat(anchors, num_neg)
    strangers = rng.integers(0, len(groups), len(left))
    apart = components[left] != components[strangers]
    pairs = Pairs(
        left=np.r_[anchors, left[apart]],
        right=np.r_[order[partner], strangers[apart]],
        same=np.r_[np.ones(len(anchors), dtype=np.bool_), np.zeros(int(apart.sum()), dtype=np.bool_)],
    )
    return pairs.take(rng.permutation(len(pairs.left)))


def sample_batches(
    groups: NDArray[np.int64], *, together: int, size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """
    Deal one epoch of batches: every row once, up to `together` of a group side by side.

    Args:
        groups: (n,) the product of each row.

    Yields:
        Row numbers, `size` at a time.
    """
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(starts, sizes)
    hand = np.cumsum(place % together == 0) - 1
    order = order[np.argsort(rng.permutation(len(order))[hand], kind="stable")]
    return (order[start : start + size] for start in range(0, len(order), size))
