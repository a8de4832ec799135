"""Pairs of postings to learn from: each with a partner of its group and `num_neg` strangers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Pairs:
    """`left`, `right` (p,) int64 row numbers; `same` (p,) bool, True where both are of one group."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    same: NDArray[np.bool_]


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
    return _shuffle(
        Pairs(
            left=np.r_[anchors, left[apart]],
            right=np.r_[order[partner], strangers[apart]],
            same=np.r_[np.ones(len(anchors), dtype=np.bool_), np.zeros(int(apart.sum()), dtype=np.bool_)],
        ),
        rng,
    )


def _shuffle(pairs: Pairs, rng: np.random.Generator) -> Pairs:
    order = rng.permutation(len(pairs.left))
    return Pairs(pairs.left[order], pairs.right[order], pairs.same[order])
