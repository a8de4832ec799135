"""
How the encoders are best run on this machine: threads within a run, runs side by side, pictures in a batch, spinning.

    python -m benchmarks.runners [--rounds 6] [--json FILE]

Each arrangement encodes the same photographs and titles, in turns, so that all of them see the same machine. Told is
the time an item by the clock and the processor time it took on all cores; docs/decisions/0010 rests on it. Asserts
nothing.
"""

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.online_catalogue import read_sources
from benchmarks.raw_pipeline import CORES, raw_pipeline
from benchmarks.report import write_report
from service.bundle.bundle import load_bundle

ITEMS = {"image": 16, "title": 64}
BATCHES = {"image": (1, 2, 4, 8), "title": (1,)}  # the shipped title encoder's rows depend on each other


@dataclass(frozen=True, slots=True)
class Arrangement:
    """One way to run an encoder."""

    encoder: str
    threads: int
    callers: int
    batch: int
    spinning: bool


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/runners.json"))
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, threads=1)
    works = dict(arrangements(options.bundle))
    times: dict[Arrangement, list[tuple[float, float]]] = {one: [] for one in works}
    for _ in range(options.rounds):
        for one, work in works.items():
            times[one].append(timed(work, ITEMS[one.encoder] // one.callers // one.batch, one))
    rows = []
    for one, found in times.items():
        wall_ms, processor_ms = (statistics.median(column) for column in zip(*found, strict=True))
        rows.append({**asdict(one), "wall_ms": wall_ms, "processor_ms": processor_ms})
        print(
            f"{one.encoder:6} {one.threads} threads x {one.callers} callers, batch {one.batch}, "
            f"{'spinning' if one.spinning else 'blocking'}: {wall_ms:6.2f} ms an item, {processor_ms:6.2f} of processor"
        )
    write_report(options.json, rows, bundle=bundle.fingerprint)


def arrangements(path: Path) -> Iterator[tuple[Arrangement, Callable[[], object]]]:
    """Each arrangement, and what one of its callers runs again and again."""
    raw = raw_pipeline(load_bundle(path, threads=1), read_sources(), None, 1)
    tensors, tokens = np.stack([raw.decode(number) for number in range(max(BATCHES["image"]))]), raw.tokens[0]
    widths = sorted({1, CORES})
    for encoder, threads, spinning in itertools.product(ITEMS, widths, (False, True)):
        if threads == 1 and spinning:
            continue
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        session = onnxruntime.InferenceSession(str(path / f"{encoder}_encoder.onnx"), options)
        for callers, batch in itertools.product(widths, BATCHES[encoder]):
            feeds = tokens if encoder == "title" else {"pixels": tensors[:batch]}
            run = lambda session=session, feeds=feeds: session.run(None, feeds)  # noqa: E731
            yield Arrangement(encoder, threads, callers, batch, spinning), run


def timed(work: Callable[[], object], runs: int, one: Arrangement) -> tuple[float, float]:
    """Milliseconds an item: by the clock, and of all processors."""

    def call() -> None:
        for _ in range(runs):
            work()

    callers = [threading.Thread(target=call) for _ in range(one.callers)]
    wall, processor = time.perf_counter(), time.process_time()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    items = one.callers * runs * one.batch
    return (time.perf_counter() - wall) * 1e3 / items, (time.process_time() - processor) * 1e3 / items


if __name__ == "__main__":
    main()
