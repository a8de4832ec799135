"""Rows that are computed once."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model_training.row_cache import RowCache


class PowerCut(Exception):
    """What the test calls a broken run."""


def squares(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Row n is (n, n * n); every seventh row cannot be had."""
    return np.stack([numbers, numbers**2], axis=1).astype(np.float32), numbers % 7 != 6


def test_a_broken_run_loses_at_most_one_chunk(tmp_path: Path) -> None:
    """What was done before the break is kept; the next run computes the rest and nothing twice."""
    asked: list[int] = []

    def breaking(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        if 30 in numbers:
            raise PowerCut
        return squares(numbers)

    def counting(numbers: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        asked.extend(numbers.tolist())
        return squares(numbers)

    with pytest.raises(PowerCut):
        RowCache(tmp_path, rows=50, shape=(2,), dtype=np.float32).fill(breaking, chunk=10, label="")
    store = RowCache(tmp_path, rows=50, shape=(2,), dtype=np.float32)
    assert store.done[:30].sum() == 26
    store.fill(counting, chunk=10, label="")
    assert asked == [6, 13, 20, 27, *range(30, 50)]
    there = np.flatnonzero(store.done)
    assert there.tolist() == [number for number in range(50) if number % 7 != 6]
    assert (store.array[there, 1] == there**2).all()
