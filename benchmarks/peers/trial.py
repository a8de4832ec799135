"""
One store's search, driven over files inside the store's own environment.

    PYTHON -m benchmarks.peers.trial load|ask|crash|recover STORE FOLDER MATERIAL ANSWER.json

`benchmarks.peers.search` runs each step in a process of its own. MATERIAL holds `rows.npy` and `queries.npy`, float32
unit rows (n, dim) and (m, dim), and `floors.npy` (m,), the score of each query's true tenth. FOLDER is the store's.
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

K, BATCH, SINGLY = 10, 1_000, 100
RECALL = 0.999
TOLERANCE = 1e-4  # of a score: stores that keep halves may swap neighbours that lie this close
_WARM_UP = 20
Rows = NDArray[np.float32]


class Store(Protocol):
    """What each module of `benchmarks.peers.stores` has under this name."""

    efforts: Sequence[int]

    def __init__(self, folder: Path, dimension: int, capacity: int) -> None:
        """Open or create."""

    def add(self, first: int, rows: Rows) -> None:
        """Write rows (n, dim) under the numbers from `first` on; on return they are acknowledged."""

    def finish(self) -> None:
        """Build what searching needs, keep it on disk, and close as far as the store can."""

    def search(self, row: Rows, k: int, effort: int) -> list[int]:
        """The numbers of the nearest k to (dim,), best first, with so much effort."""


def load(store: Callable[[int], Store], rows: Rows, material: Path) -> dict[str, object]:
    """Write all rows; `rows_per_s` counts until the store has finished."""
    filled = store(len(rows))
    start = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        filled.add(first, np.array(rows[first : first + BATCH]))
    filled.finish()
    return {"rows_per_s": len(rows) / (time.perf_counter() - start)}


def ask(store: Callable[[int], Store], rows: Rows, material: Path) -> dict[str, object]:
    """Ask one by one with growing effort until recall is .999; the last effort, or the best, is what counts."""
    queries, floors = np.load(material / "queries.npy"), np.load(material / "floors.npy")
    before, tried = anonymous_mib(), []
    opened = store(len(rows))
    for effort in opened.efforts:
        for query in queries[:_WARM_UP]:
            opened.search(query, K, effort)
        times, found = [], []
        for query in queries:
            start = time.perf_counter()
            found.append(opened.search(query, K, effort))
            times.append((time.perf_counter() - start) * 1e3)
        p50, p99 = np.percentile(times, (50, 99))
        recall = measure_recall(rows, queries, floors, found)
        tried.append({"recall": recall, "effort": effort, "p50_ms": float(p50), "p99_ms": float(p99)})
        if recall >= RECALL:
            break
    memory = anonymous_mib() - before
    best = next((one for one in tried if one["recall"] >= RECALL), max(tried, key=lambda one: one["recall"]))
    return best | {"anonymous_mib": memory, "versions": versions()}


def measure_recall(rows: Rows, queries: Rows, floors: Rows, found: Sequence[Sequence[int]]) -> float:
    """The share of the true nearest K that was found, each number counted once: whose score is the tenth's or above."""
    hits = [
        (rows[sorted(set(numbers))[:K]] @ query >= floor - TOLERANCE).sum()
        for query, floor, numbers in zip(queries, floors, found, strict=True)
    ]
    return float(np.sum(hits)) / (min(K, len(rows)) * len(queries))


def crash(store: Callable[[int], Store], rows: Rows, material: Path) -> dict[str, object]:
    """Write rows one by one into a store that has the others, then die at once; the answer comes before."""
    filled, kept = store(len(rows)), len(rows) - SINGLY
    start = time.perf_counter()
    for number in range(kept, len(rows)):
        filled.add(number, np.array(rows[number : number + 1]))
    return {"single_rows_per_s": SINGLY / (time.perf_counter() - start)}


def recover(store: Callable[[int], Store], rows: Rows, material: Path) -> dict[str, object]:
    """How many of the rows written last are no longer found."""
    opened = store(len(rows))
    numbers = range(len(rows) - SINGLY, len(rows))
    return {"lost": sum(number not in opened.search(rows[number], K, opened.efforts[-1]) for number in numbers)}


def anonymous_mib() -> float:
    """Anonymous memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def versions() -> dict[str, str]:
    """What is installed here."""
    return {one.name.lower().replace("_", "-"): one.version for one in distributions()}


def main() -> None:
    """Do one step and write its answer; after `crash` the process kills itself."""
    step, name, folder, material, answer = sys.argv[1:]
    rows = np.load(Path(material) / "rows.npy", mmap_mode="r")

    def store(capacity: int) -> Store:  # imported as late as this, so that `ask` counts the library's memory too
        made: Store = importlib.import_module(f"benchmarks.peers.stores.{name}").Store(
            Path(folder), rows.shape[1], capacity
        )
        return made

    steps = {"load": load, "ask": ask, "crash": crash, "recover": recover}
    figures = steps[step](store, rows, Path(material))
    Path(answer).write_text(json.dumps(figures), encoding="utf-8")
    if step == "crash":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
