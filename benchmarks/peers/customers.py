"""
Threads of a storefront that match, add or load, driven over files inside the storefront's own environment.

    PYTHON -m benchmarks.peers.customers STOREFRONT TASK.json ANSWER.json

`benchmarks.peers.whole_job` runs each task in a process of its own. STOREFRONT is `storefront_kembar` or
`storefront_chroma`; TASK is a `Task`.
"""

import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks.peers.storefront_threshold import combine

_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """
    `clients` threads work through `postings`: id, picture file and title each, None where there is none.

    `storefront` holds what the storefront is made with, `vectors` a file that `load` takes instead of postings, `kill`
    the process to kill the moment the last posting is acknowledged.
    """

    work: str
    storefront: Mapping[str, str | float]
    clients: int = 1
    postings: Sequence[tuple[str, str | None, str | None]] = ()
    vectors: str | None = None
    kill: int | None = None


class Storefront(Protocol):
    """What both storefronts have."""

    def add(self, posting_id: str, image: bytes | None, title: str | None) -> None:
        """Store a posting, in place of what was there."""

    def matches(self, image: bytes | None, title: str | None) -> list[str]:
        """The ids of at most 50 postings that show the same product."""


def work_through(task: Task, shop: Storefront) -> dict[str, object]:
    """Milliseconds and answer of each posting, in order; seconds in all."""
    calls: dict[str, Callable[[str, bytes | None, str | None], list[str] | None]] = {
        "match": lambda posting_id, image, title: shop.matches(image, title),
        "add": shop.add,
    }
    call = calls[task.work]
    pictures = [Path(file).read_bytes() if file else None for _, file, _ in task.postings]

    def serve(number: int) -> tuple[float, list[str] | None]:
        posting_id, _, title = task.postings[number]
        start = time.perf_counter()
        answer = call(posting_id, pictures[number], title)
        return (time.perf_counter() - start) * 1e3, answer

    with ThreadPoolExecutor(task.clients) as pool:
        start = time.perf_counter()
        done = list(pool.map(serve, range(len(pictures))))
        wall_s = time.perf_counter() - start
    return {"ms": [ms for ms, _ in done], "answers": [answer for _, answer in done], "wall_s": wall_s}


def load(task: Task, shop: Storefront) -> dict[str, object]:
    """Give Chroma vectors that were computed before; only its storefront has a collection."""
    arrays, start = np.load(str(task.vectors)), time.perf_counter()
    rows = combine(arrays["image"], arrays["title"], float(task.storefront["picture_weight"]))
    for first in range(0, len(rows), _BATCH):
        part = slice(first, first + _BATCH)
        titles = [{"title": title} for title in arrays["titles"][part].tolist()]
        shop.collection.upsert(arrays["ids"][part].tolist(), embeddings=rows[part], metadatas=titles)
    return {"wall_s": time.perf_counter() - start}


def main() -> None:
    """Do one task and write its answer."""
    storefront, task_file, answer_file = sys.argv[1:]
    task = Task(**json.loads(Path(task_file).read_text(encoding="utf-8")))
    shop = importlib.import_module(f"benchmarks.peers.{storefront}").Storefront(**task.storefront)
    done = load(task, shop) if task.work == "load" else work_through(task, shop)
    if task.kill is not None:
        os.kill(task.kill, signal.SIGKILL)
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    done["cpu_s"] = used.ru_utime + used.ru_stime
    done["anonymous_mib"] = int(status.split("RssAnon:")[1].split()[0]) / 1024
    Path(answer_file).write_text(json.dumps(done), encoding="utf-8")


if __name__ == "__main__":
    main()
