"""Batches for fine-tuning: products that look alike meet, since telling strangers apart teaches little."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

_COMPANIONS = 3  # lookalikes of each product in a batch
_NEAREST = 12  # companions are drawn from so many nearest products


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` (b,) int64 of what is encoded; `groups`, `components` (b,) int64 as the losses take them."""

    rows: NDArray[np.int64]
    groups: torch.Tensor
    components: torch.Tensor


class Lookalikes:
    """
    The products of the training part, each with the twelve that look most like it.

    Args:
        rows, groups, components: (n,) the row (of a picture, a title), product and super-component of each posting.
        start: (n, d) rows of one length, what is known of the postings before: it tells which products look alike.
        seeds: products in a batch, besides three lookalikes of each; each: rows of every one of them.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        groups: NDArray[np.int64],
        components: NDArray[np.int64],
        start: NDArray[np.float32],
        *,
        seeds: int,
        each: int,
    ) -> None:
        self._seeds, self._each = seeds, each
        self._groups, first = np.unique(groups, return_index=True)
        self._components = components[first]
        members = [np.flatnonzero(groups == number) for number in self._groups]
        self._rows = [np.unique(rows[own]) for own in members]
        centres = np.stack([start[own].mean(0) for own in members])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        likeness = centres @ centres.T
        np.fill_diagonal(likeness, -2)
        self._nearest = np.argsort(-likeness, axis=1)[:, :_NEAREST]
        # Between "every product alike" and "every posting alike"; what stands alone comes as a lookalike only, since it
        # has nothing to be drawn to.
        chance = np.array([(len(own) - 1) / np.sqrt(len(own)) for own in members])
        self._chance = chance / chance.sum()

    def steps(self, epochs: int) -> int:
        """How many batches show as many rows as the products have, so many times over."""
        return epochs * max(1, round(sum(map(len, self._rows)) / (self._seeds * (1 + _COMPANIONS) * self._each)))

    def draw(self, rng: np.random.Generator) -> Batch:
        """Products by lot, lookalikes of each, rows of every one; a product that has too few repeats some."""
        seeds = rng.choice(
            len(self._rows), min(self._seeds, int(np.count_nonzero(self._chance))), replace=False, p=self._chance
        )
        companions = [rng.choice(self._nearest[seed]) for seed in seeds for _ in range(_COMPANIONS)]
        chosen = np.unique(np.r_[seeds, companions])
        rows = [self._some(self._rows[index], rng) for index in chosen]
        products = np.repeat(chosen, self._each)
        groups, components = (torch.from_numpy(of[products]) for of in (self._groups, self._components))
        return Batch(np.concatenate(rows), groups, components)

    def _some(self, own: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.choice(own, self._each, replace=len(own) < self._each)
