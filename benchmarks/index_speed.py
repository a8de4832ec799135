"""
How fast the index is, beside the raw numbers of what it stands on, taken in the same run.

    .venv/bin/python -m benchmarks.index_speed --postings 10000 100000 --json index_speed.json

Writes per second beside bare fsyncs and bare SQLite commits; milliseconds a search beside bare FAISS over the same
fused vectors, with the recall against numpy; seconds to open beside reading the file. Asserts nothing.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import apsw
import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import write_report
from index.index import Index
from index.postings import Draft, Written

DIMENSIONS = {"image": 512, "title": 256}
WEIGHTS = {"image": 0.6, "title": 0.4}
K = 50
SEED = 17
Matrices = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Measured:
    """One figure; `raw` is the same work done by what lies below, `ratio` is figure over raw."""

    name: str
    unit: str
    figure: float
    raw_name: str
    raw: float
    ratio: float


def catalogue(count: int) -> Matrices:
    """Unit vectors in groups of four that lie close together, as products do."""
    rng = np.random.default_rng(SEED)
    matrices = {}
    for view, dimension in DIMENSIONS.items():
        centres = np.repeat(rng.standard_normal((count // 4 + 1, dimension)), 4, axis=0)[:count]
        rows = centres + 0.7 * rng.standard_normal((count, dimension))
        matrices[view] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return matrices


def draft(matrices: Matrices, row: int, name: str = "") -> Draft:
    """One row of the catalogue as a posting."""
    metadata = {"shop": row % 100, "brand": f"brand {row % 1000}", "price": row * 0.5}
    vectors = {view: matrix[row] for view, matrix in matrices.items()}
    return Draft(name or f"posting-{row:07}", f"Bottle of water {row} ml", metadata, vectors)


def opened(directory: Path) -> Index:
    """The index of a directory."""
    return Index.open(directory, encoder_id="benchmark", dimensions=DIMENSIONS, weights=WEIGHTS)


def fill(index: Index, matrices: Matrices) -> float:
    """Put the whole catalogue, a thousand in flight; returns writes per second."""
    count = len(matrices["image"])
    start = time.perf_counter()
    futures: list[Future[Written]] = []
    for row in range(count):
        futures.append(index.put(draft(matrices, row)))
        if row >= 1_000:
            futures[row - 1_000].result()
    for future in futures:
        future.result()
    return count / (time.perf_counter() - start)


def writes_per_second(index: Index, matrices: Matrices, writers: int, seconds: float = 3.0) -> float:
    """Each writer waits for its acknowledgement before it writes again."""
    deadline = time.perf_counter() + seconds

    def write(writer: int) -> int:
        done = 0
        while time.perf_counter() < deadline:
            index.put(draft(matrices, (writer * 7919 + done) % 1_000, f"extra-{writer}-{done}")).result()
            done += 1
        return done

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(write, range(writers))) / seconds


def raw_fsyncs_per_second(directory: Path, seconds: float = 2.0) -> float:
    """Append 4 KiB and fdatasync, over and over."""
    descriptor = os.open(directory / "raw", os.O_RDWR | os.O_CREAT)
    done, deadline = 0, time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        os.pwrite(descriptor, bytes(4096), done * 4096)
        os.fdatasync(descriptor)
        done += 1
    os.close(descriptor)
    return done / seconds


def raw_commits_per_second(directory: Path, seconds: float = 2.0) -> float:
    """One row of the same size a transaction, in plain SQLite with the same settings."""
    (directory / "raw.sqlite").unlink(missing_ok=True)
    connection = apsw.Connection(str(directory / "raw.sqlite"))
    connection.pragma("journal_mode", "wal")
    connection.execute("PRAGMA synchronous = FULL; CREATE TABLE t (id, body)")
    body = bytes(2 * sum(DIMENSIONS.values()) + 150)
    done, deadline = 0, time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        connection.execute("INSERT INTO t VALUES (?, ?)", (done, body))
        done += 1
    connection.close()
    return done / seconds


def searches(index: Index, matrices: Matrices) -> Iterator[Measured]:
    """A search beside bare FAISS, in turns, so that both see the same machine."""
    count = len(matrices["image"])
    halves = {view: matrix.astype(np.float16).astype(np.float64) for view, matrix in matrices.items()}
    units = {view: half / np.linalg.norm(half, axis=1, keepdims=True) for view, half in halves.items()}
    fused = np.hstack([units[view] * np.sqrt(WEIGHTS[view]) for view in sorted(WEIGHTS)]).astype(np.float32)
    bare = faiss.IndexFlatIP(fused.shape[1])
    bare.add(fused)
    faiss.omp_set_num_threads(1)
    rows = np.random.default_rng(SEED + 1).integers(count, size=max(30, 3_000_000 // count))
    kinds: dict[str, Callable[[int], object]] = {
        "both views, 50 hits": lambda row: ask(index, matrices, row, floor=-1.0),
        "both views, threshold 0.7": lambda row: ask(index, matrices, row, floor=0.7),
        "title alone, threshold 0.7": lambda row: ask(index, {"title": matrices["title"]}, row, floor=0.7),
        "filter of 1 %": lambda row: ask(index, matrices, row, floor=0.7, where={"shop": int(row) % 100}),
    }
    for name, search in kinds.items():
        ours, theirs = [], []
        for row in rows[: len(rows) if name.startswith("both") else 30]:
            theirs.append(milliseconds(lambda row=row: bare.search(fused[row : row + 1], K)))  # type: ignore[misc]  # bound now
            ours.append(milliseconds(lambda row=row, search=search: search(row)))  # type: ignore[misc]  # bound now
        for label, figure in (("p50", np.median), ("p99", lambda values: np.percentile(values, 99))):
            mine, raw = float(figure(ours)), float(figure(theirs))
            yield Measured(f"search {count}: {name}, {label}", "ms", mine, f"faiss flat {label}", raw, mine / raw)
    found = [recall(index, matrices, fused, int(row)) for row in rows[:20]]
    yield Measured(f"search {count}: recall at {K}", "", statistics.mean(found), "numpy", 1.0, statistics.mean(found))


def ask(index: Index, matrices: Matrices, row: int, *, floor: float, where: dict[str, int] | None = None) -> object:
    """One search by a stored row's vectors."""
    query = {view: matrix[row] for view, matrix in matrices.items()}
    return index.search(query, k=K, floors=lambda views: floor, where=where)


def recall(index: Index, matrices: Matrices, fused: NDArray[np.float32], row: int) -> float:
    """The part of the true best that the index gives."""
    hits = index.search({view: matrix[row] for view, matrix in matrices.items()}, k=K, floors=lambda views: -1.0)
    best = np.argsort(-(fused @ fused[row]), kind="stable")[:K]
    return len({f"posting-{number:07}" for number in best} & {hit.posting.posting_id for hit in hits}) / K


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def reopening(directory: Path, count: int) -> Iterator[Measured]:
    """Opening a closed index beside reading its database file once; wall and processor time."""
    walls, processors = [], []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        index = opened(directory)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        index.close()
    start = time.perf_counter()
    (directory / "postings.sqlite").read_bytes()
    raw = time.perf_counter() - start
    for name, times in (("open", walls), ("open, processor time", processors)):
        yield Measured(f"{name} {count}", "s", min(times), "reading the file", raw, min(times) / raw)


def measure(counts: Sequence[int], root: Path) -> Iterator[Measured]:
    """Everything, one figure after the other."""
    for count in counts:
        matrices = catalogue(count)
        directory = root / str(count)
        index = opened(directory)
        commits = raw_commits_per_second(root)
        bulk = fill(index, matrices)
        yield Measured(
            f"put {count}, a thousand in flight", "writes/s", bulk, "SQLite commits/s", commits, bulk / commits
        )
        yield from searches(index, matrices)
        for writers in (1, 16):
            before = raw_fsyncs_per_second(root)
            rate = writes_per_second(index, matrices, writers)
            fsyncs = (before + raw_fsyncs_per_second(root)) / 2  # a disk that others use changes by the second
            yield Measured(f"put at {count}, {writers} writers", "writes/s", rate, "fsyncs/s", fsyncs, rate / fsyncs)
        index.close()
        yield from reopening(directory, count)
        shutil.rmtree(directory)


def main() -> None:
    """Print a table, and write one JSON with machine and commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--directory", type=Path, help="where to write; the disk decides the writes")
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/index_speed.json"))
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(dir=options.directory) as root:
        for measured in measure(options.postings, Path(root)):
            results.append(asdict(measured))
            print(
                f"{measured.name:55} {measured.figure:10.2f} {measured.unit:9} "
                f"{measured.raw:10.2f} {measured.raw_name:20} x {measured.ratio:.2f}",
                flush=True,
            )
    write_report(options.json, results, seed=SEED)


if __name__ == "__main__":
    main()
