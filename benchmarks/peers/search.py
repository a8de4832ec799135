"""
The search alone: Kembar's index beside the libraries and embedded stores that a user would pick, in process.

    python -m benchmarks.peers.search [BUNDLE] [--postings 100000] [--only NAME …] [--json FILE]

Each store gets the same unit vectors (drawn and real postings, their views fused by the bundle's weights) and the same
queries, one at a time, in an interpreter of its own; its width of search grows until the true nearest ten are found to
.999, or as far as its table of efforts goes. Printed: median and p99 at that recall, rows written per second (in
thousands, building and saving included; and one by one, each waiting for its acknowledgement), memory of the process
that opened what another wrote (anonymous, an empty interpreter's taken off), and how many of 100 rows acknowledged one
by one are gone after `kill -9` right behind the last. Stores that live in memory had saved the rows before those. What
a power cut would take shows in how often a row is forced to the disk (fsync), counted in a run of its own.

Kembar gives back whole postings, checked and scored anew; all others give numbers. FAISS runs one thread, as Kembar
does; the others as many as they choose.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.growth_postings import CACHE, SEED, Postings
from benchmarks.peers.environments import NoEnvironment, python_of
from benchmarks.peers.shop import draw_shop
from benchmarks.peers.syncs import count_syncs, watched
from benchmarks.peers.trial import RECALL, SINGLY, K
from benchmarks.report import write_report
from service.bundle.bundle import load_bundle

# The module of `benchmarks.peers.stores`, its environment, and the package whose version names it.
STORES = {
    "kembar": ("project", "kembar"),
    "faiss_flat": ("project", "faiss-cpu"),
    "faiss_hnsw": ("project", "faiss-cpu"),
    "hnswlib": ("hnswlib", "hnswlib"),
    "usearch": ("usearch", "usearch"),
    "lancedb": ("lancedb", "lancedb"),
    "milvus": ("milvus", "milvus-lite"),
    "qdrant": ("qdrant", "qdrant-client"),
    "chroma": ("chroma", "chromadb"),
}
_BEFORE_CRASH = 1_000
_LIMIT_S = 3_600.0  # a step of a store
_SAID = 300


@dataclass(frozen=True, slots=True)
class Row:
    """What one store did; `failed` says why the figures behind it are missing."""

    store: str
    version: str = ""
    recall: float = 0.0
    effort: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    rows_per_s: float = 0.0
    single_rows_per_s: float = 0.0
    anonymous_mib: float = 0.0
    lost: int = 0
    syncs_a_row: float | None = None
    failed: str = ""


class StepFailed(Exception):
    """A step of a store ended otherwise than it should; the message is its last words."""


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo"))
    parser.add_argument("--postings", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/peers_search.json"))
    options = parser.parse_args()
    bundle, results = load_bundle(options.bundle, threads=1), list[Row]()
    shop = draw_shop(bundle, options.postings, options.real)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        write_material(Path(folder), *(fuse(part, bundle.decision.weights) for part in (shop.catalogue, shop.queries)))
        for store in options.only:
            results.append(measure(store, Path(folder)))
            print(render(results[-1:]).splitlines()[-1], flush=True)
    print(render(results))
    figures = {"postings": options.postings, "stores": [asdict(row) for row in results]}
    write_report(options.json, figures, seed=SEED, bundle=bundle.fingerprint)


def fuse(postings: Postings, weights: dict[str, float]) -> NDArray[np.float32]:
    """Concatenate views, each times the root of its weight, and bring rows to length one."""
    parts = [np.sqrt(np.float32(weight)) * postings.vectors[view] for view, weight in weights.items()]
    rows = np.concatenate(parts, axis=1)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def write_material(folder: Path, rows: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    """Lay out what `benchmarks.peers.trial` reads: everything, and random rows for the crash."""
    made = np.random.default_rng(SEED).standard_normal((_BEFORE_CRASH + SINGLY, rows.shape[1])).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    for name, part in (("all", rows), ("before", made[:_BEFORE_CRASH]), ("behind", made)):
        (folder / name).mkdir()
        np.save(folder / name / "rows.npy", part)
    scores, _ = faiss.knn(queries, rows, min(K, len(rows)), metric=faiss.METRIC_INNER_PRODUCT)
    np.save(folder / "all" / "queries.npy", queries)
    np.save(folder / "all" / "floors.npy", scores[:, -1])


def measure(store: str, folder: Path) -> Row:
    """All figures of one store, or why there are none."""
    environment, package = STORES[store]
    try:
        python = python_of(environment)
        whole, crashed, watching = (folder / f"{store}-{purpose}" for purpose in ("whole", "crashed", "watched"))
        found = run_step(python, "load", store, whole, folder / "all")
        found |= run_step(python, "ask", store, whole, folder / "all")
        for place in (crashed, watching):
            run_step(python, "load", store, place, folder / "before")
        found |= run_step(python, "crash", store, crashed, folder / "behind")
        found |= run_step(python, "recover", store, crashed, folder / "behind")
        run_step(python, "crash", store, watching, folder / "behind", watched(watching / "syncs.log"))
        syncs = count_syncs(watching / "syncs.log")
    except (NoEnvironment, StepFailed) as exc:
        return Row(store, failed=str(exc))
    versions = found.pop("versions")
    syncs_a_row = None if syncs is None else syncs / SINGLY
    return Row(store, version=versions[package], syncs_a_row=syncs_a_row, **found)


def run_step(
    python: Path, step: str, store: str, place: Path, material: Path, under: Sequence[str | Path] = ()
) -> dict[str, object]:
    """Run one step of `benchmarks.peers.trial`, under another command if one is named. Raises StepFailed."""
    answer = place / f"{step}.json"
    command = [*under, python, "-m", "benchmarks.peers.trial", step, store, place / "store", material, answer]
    (place / "store").mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as exc:
        raise StepFailed(f"{step}: not done within {_LIMIT_S:.0f} s") from exc
    if not answer.exists():
        raise StepFailed(f"{step}: {done.stderr.strip()[-_SAID:]}")
    return json.loads(answer.read_text(encoding="utf-8"))


def render(results: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [
        f"| store | version | recall at {K} | effort | median ms | p99 ms | rows/s | one by one/s | memory MiB | "
        f"lost of {SINGLY} | fsyncs a row |",
        "|---" * 11 + "|",
    ]
    for row in results:
        if row.failed:
            lines.append(f"| {row.store} | {' '.join(row.failed.split())} |" + " |" * 9)
            continue
        short = "" if row.recall >= RECALL else " (below)"
        lines.append(
            f"| {row.store} | {row.version} | {row.recall:.4f}{short} | {row.effort or 'exact or its own'} | "
            f"{row.p50_ms:.2f} | {row.p99_ms:.2f} | {row.rows_per_s:.0f} | {row.single_rows_per_s:.0f} | "
            f"{row.anonymous_mib:.0f} | {row.lost} | {'not seen' if row.syncs_a_row is None else row.syncs_a_row} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
