"""
What a match, an addition and a bulk load cost over HTTP, beside the bare work of which they are made.

    python -m benchmarks.online [--postings 100000] [--seconds 15] [--json FILE]

`kembar serve` runs as an operator runs it, in a process of its own; the load comes from another one, whose share of the
processors is told. Bare Pillow, onnxruntime and FAISS are timed in this process, in the same run, while the service is
idle. The catalogue is kept in .cache/online and used again. Asserts nothing; `wanted` is what the figure should be.
"""

import argparse
import base64
import http.client
import json
import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.load import Load, closed_loop
from benchmarks.online_catalogue import Sources, bulk_lines, fill, match_calls, put_calls, read_sources, stored_calls
from benchmarks.raw_pipeline import CORES, Raw, best_throughput, raw_pipeline, single_costs
from benchmarks.real_catalogue import resident_mib, served
from benchmarks.report import write_report
from index.training import list_count
from index.tuning import TUNING
from service.bundle.bundle import Bundle, load_bundle

CACHE = Path(".cache/online")
CLIENTS, WRITERS = 32, 16
PROBED = 14  # lists, what the index measured on this catalogue; on one of `benchmarks.million` it is far more
BULK_LINES = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, `ours` beside `raw`; `ratio` is ours over raw, or what `wanted` speaks of."""

    name: str
    unit: str
    ours: float
    raw: float
    ratio: float
    wanted: str
    generator_share: float = 0.0


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load")
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/online.json"))
    options = parser.parse_args()
    sources, bundle = read_sources(), load_bundle(options.bundle, threads=1)
    folder = CACHE / f"{options.postings}-{bundle.fingerprint[7:19]}"
    fill(folder / "data", bundle, sources, options.postings)
    rows = []
    for row in measure(options.bundle, bundle, sources, folder, options.postings, options.seconds):
        rows.append(row)
        print(
            f"{row.name:52} {row.ours:9.2f} {row.unit:8} raw {row.raw:9.2f}  ratio {row.ratio:6.2f} "
            f"(wanted {row.wanted}; generator {row.generator_share:.1%})",
            flush=True,
        )
    write_report(options.json, [asdict(row) for row in rows], bundle=bundle.fingerprint)


def measure(path: Path, bundle: Bundle, sources: Sources, folder: Path, postings: int, seconds: float) -> Iterator[Row]:
    """Every figure, one after the other."""
    yield from starting(path)
    catalogue = bare_catalogue(bundle, postings)
    alone = raw_pipeline(bundle, sources, catalogue, CORES)
    single = raw_pipeline(bundle, sources, catalogue, 1)
    matches = match_calls(sources)
    with served(folder, path) as (url, _process):
        port = int(url.rsplit(":", 1)[1])
        closed_loop(port, matches, 4, 2.0)  # warm
        yield from one_client(alone, port, matches, stored_calls(postings), seconds)
        many = closed_loop(port, matches, CLIENTS, seconds)
        yield throughput(f"matches, {CLIENTS} clients", many, single, seconds, keep=False, search=True)
        queries, writes = (
            closed_loop(port, matches, WRITERS, seconds),
            closed_loop(port, put_calls(sources), WRITERS, seconds),
        )
        ours, raw = float(np.percentile(writes.good_ms(), 99)), float(np.percentile(queries.good_ms(), 99))
        yield Row("PUT, 16 writers, p99 / matches, 16 clients, p99", "ms", ours, raw, ours / raw, "<= 1.5")
        yield throughput(f"PUT, {WRITERS} writers", writes, single, seconds, keep=True, search=False)
        yield bulk(port, sources, single, seconds)
        remove_added(port)


def starting(bundle: Path) -> Iterator[Row]:
    """On an empty directory: time until /readyz answers 200, and memory then."""
    folder = CACHE / "empty"
    shutil.rmtree(folder, ignore_errors=True)
    started = time.perf_counter()
    with served(folder, bundle) as (_url, process):
        took, memory = time.perf_counter() - started, resident_mib(process)
    yield Row("start on an empty directory to /readyz", "s", took, 3.0, took / 3.0, "<= 1")
    yield Row("resident memory then", "MiB", memory, 600.0, memory / 600.0, "<= 1")


def bare_catalogue(bundle: Bundle, postings: int) -> faiss.Index:
    """As many vectors in as many lists as the index would have; what is in them does not change what a search costs."""
    rng, dimension = np.random.default_rng(0), sum(bundle.dimensions.values())
    if postings < TUNING.ivf_from:
        index = faiss.IndexFlatIP(dimension)
    else:
        lists = list_count(postings, TUNING)
        coarse = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFScalarQuantizer(
            coarse, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
        )
        index.cp.niter, index.nprobe = 1, PROBED
        index.train(unit_rows(rng, 2 * lists, dimension))
    for first in range(0, postings, 10_000):
        index.add(unit_rows(rng, min(10_000, postings - first), dimension))
    return index


def unit_rows(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    """(count, dimension), in every direction alike."""
    rows = rng.standard_normal((count, dimension), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def one_client(raw: Raw, port: int, matches: list[bytes], stored: list[bytes], seconds: float) -> Iterator[Row]:
    """One call at a time, beside the sum of its parts, which are timed before and after."""
    before = single_costs(raw)
    match, from_stored = closed_loop(port, matches, 1, seconds), closed_loop(port, stored, 1, seconds / 3)
    after = single_costs(raw)
    costs = {name: (before[name] + after[name]) / 2 for name in before}
    print("bare costs, ms: " + ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items()))
    ours = statistics.median(match.good_ms())
    yield Row(
        "match, one client, median",
        "ms",
        ours,
        sum(costs.values()),
        ours / sum(costs.values()),
        "<= 1.25, 1.15",
        match.generator_share,
    )
    ours, most = statistics.median(from_stored.good_ms()), 2 * costs["search"] + 1.0
    yield Row(
        "matches of a stored posting, median / (2 raw + 1)",
        "ms",
        ours,
        most,
        ours / most,
        "<= 1",
        from_stored.generator_share,
    )


def throughput(name: str, load: Load, raw: Raw, seconds: float, *, keep: bool, search: bool) -> Row:
    """Answers a second beside the bare pipeline's items a second."""
    most, batch = best_throughput(raw, seconds / 3, keep=keep, search=search)
    ours = load.per_second()
    failed = len(load.ms) - len(load.good_ms())
    note = f"{name}, throughput (raw batch {batch}{f', {failed} times told to come again' if failed else ''})"
    return Row(note, "/s", ours, most, ours / most, ">= .90", load.generator_share)


def bulk(port: int, sources: Sources, raw: Raw, seconds: float) -> Row:
    """A bulk load of postings that are all new."""
    lines = bulk_lines(sources, BULK_LINES)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    started = time.perf_counter()
    connection.request("POST", "/v1/bulk", iter(lines), {"Content-Type": "application/x-ndjson"}, encode_chunked=True)
    statuses = [json.loads(line)["status"] for line in connection.getresponse().read().splitlines()]
    ours = statuses.count(201) / (time.perf_counter() - started)
    most, batch = best_throughput(raw, seconds / 3, keep=True, search=False)
    return Row(f"bulk load, postings (raw batch {batch})", "/s", ours, most, ours / most, ">= .90")


def remove_added(port: int) -> None:
    """Leave the catalogue as it was found, for the next run."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    for prefix in ("added-", "bulk-"):
        cursor = base64.urlsafe_b64encode(prefix.encode()).decode().rstrip("=")
        while True:
            connection.request("GET", f"/v1/postings?limit=1000&cursor={cursor}")
            found = [one["posting_id"] for one in json.loads(connection.getresponse().read())["postings"]]
            added = [posting_id for posting_id in found if posting_id.startswith(prefix)]
            if not added:
                break
            lines = "\n".join(json.dumps({"op": "delete", "posting_id": posting_id}) for posting_id in added)
            connection.request("POST", "/v1/bulk", lines, {"Content-Type": "application/x-ndjson"})
            connection.getresponse().read()


if __name__ == "__main__":
    main()
