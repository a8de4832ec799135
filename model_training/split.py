"""Split a catalogue so that nothing of a product, and no picture, stands on both sides (EVALUATION.md section 2)."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers, rising, of three parts without a common super-component."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def fitted(self) -> NDArray[np.int64]:
        """The rows that encoders and thresholds are fitted on: all but the test part."""
        return np.sort(np.r_[self.train, self.validation])


def find_components(keys: Iterable[tuple[Hashable, ...]]) -> NDArray[np.int64]:
    """
    Number the super-components: postings tied by any common key (group, picture file, perceptual hash).

    Args:
        keys: one tuple of keys a posting; the keys of different kinds must differ.

    Returns:
        (n,) int64, numbered from 0 in order of first appearance.

    >>> find_components([("g1", "p1"), ("g2", "p1"), ("g3",), ("g2",)]).tolist()
    [0, 0, 1, 0]
    """
    parent: list[int] = []
    owner: dict[Hashable, int] = {}

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for row, ties in enumerate(keys):
        parent.append(row)
        for key in ties:
            other = root(owner.setdefault(key, row))
            parent[root(row)] = other
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(row), len(numbers)) for row in range(len(parent))], dtype=np.int64)


def split_components(components: NDArray[np.int64], *, seed: int, fold: int = 0) -> Split:
    """
    Deal whole super-components to five parts: one is test, one validation, three are train.

    The largest come first, each to the part that is smallest, so that one giant component cannot starve a part;
    components of one size are dealt in random order.

    Args:
        fold: 0..4, which part is test; the next one is validation. Over the folds each posting is tested once.
    """
    sizes = np.bincount(components)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.zeros(FOLDS)
    fold_of = np.empty(len(sizes), dtype=np.int64)
    for component in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold_of[component] = int(np.argmin(filled))
        filled[fold_of[component]] += sizes[component]
    part = (fold_of[components] - fold) % FOLDS
    return Split(np.flatnonzero(part > 1), np.flatnonzero(part == 1), np.flatnonzero(part == 0))
