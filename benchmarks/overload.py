"""
What becomes of four times as many calls as the service can do: constant arrivals, whatever becomes of those before.

    python -m benchmarks.overload [--seconds 60] [--times 4] [--postings 100000] [--json FILE]

In this order: one client alone (unloaded); eight clients, each with its next call when it has its answer (capacity);
the overload; and then, as soon as the last of its answers is there, calls at half the capacity, of which three in a row
have to be answered within three times the unloaded p99. Asserts nothing.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.load import LOST, Load, closed_loop, constant_arrivals
from benchmarks.online import CACHE
from benchmarks.online_catalogue import fill, match_calls, read_sources
from benchmarks.real_catalogue import resident_mib, served
from benchmarks.report import write_report
from service.bundle.bundle import load_bundle

CAPACITY_CLIENTS = 8
CALM_CALLS = 3
OVERLOADED = 503


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; times in milliseconds unless the name says otherwise."""

    unloaded_p50: float
    unloaded_p99: float
    capacity_per_second: float
    offered_per_second: float
    goodput_per_second: float
    goodput_share: float
    accepted_p50: float
    accepted_p99: float
    accepted_p99_times: float
    refused: int
    refusal_p50: float
    refusal_p99: float
    lost: int
    other_statuses: list[int]
    back_to_normal_s: float
    service_mib: float
    generator_share: float


def main() -> None:
    """Measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload; the other loads take a quarter")
    parser.add_argument("--times", type=float, default=4.0, help="the capacity")
    parser.add_argument("--postings", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/overload.json"))
    options = parser.parse_args()
    sources, bundle = read_sources(), load_bundle(options.bundle, threads=1)
    folder = CACHE / f"{options.postings}-{bundle.fingerprint[7:19]}"
    fill(folder / "data", bundle, sources, options.postings)
    matches = match_calls(sources)
    with served(folder, options.bundle) as (url, process):
        figures = measure(int(url.rsplit(":", 1)[1]), process, matches, options.times, options.seconds)
    print(json.dumps(asdict(figures), indent=1))
    print(
        f"goodput {figures.goodput_share:.2f} of capacity (wanted >= .90), p99 of the accepted "
        f"{figures.accepted_p99_times:.1f} times unloaded (<= 3), refusals p99 {figures.refusal_p99:.1f} ms (<= 20), "
        f"normal again after {figures.back_to_normal_s:.1f} s (<= 5)"
    )
    write_report(options.json, asdict(figures), bundle=bundle.fingerprint)


def measure(port: int, process: int, matches: list[bytes], times: float, seconds: float) -> Figures:
    """Unloaded, capacity, overload and after."""
    closed_loop(port, matches, 2, 2.0)  # warm
    unloaded = closed_loop(port, matches, 1, seconds / 4)
    capacity = closed_loop(port, matches, CAPACITY_CLIENTS, seconds / 4).per_second()
    time.sleep(2)
    load = constant_arrivals(port, matches, times * capacity, seconds)
    alone = percentile(unloaded.good_ms(), 99)
    back = back_to_normal_s(constant_arrivals(port, matches, capacity / 2, 10.0), 3 * alone)
    refusals = load.ms[load.statuses == OVERLOADED]
    # What is still in work when the last call was due is answered after it, and belongs to these seconds all the same.
    goodput = len(load.good_ms()) / max(seconds, load.seconds)
    return Figures(
        unloaded_p50=percentile(unloaded.good_ms(), 50),
        unloaded_p99=alone,
        capacity_per_second=capacity,
        offered_per_second=times * capacity,
        goodput_per_second=goodput,
        goodput_share=goodput / capacity,
        accepted_p50=percentile(load.good_ms(), 50),
        accepted_p99=percentile(load.good_ms(), 99),
        accepted_p99_times=percentile(load.good_ms(), 99) / alone,
        refused=len(refusals),
        refusal_p50=percentile(refusals, 50),
        refusal_p99=percentile(refusals, 99),
        lost=int((load.statuses == LOST).sum()),
        other_statuses=sorted({int(one) for one in load.statuses} - {200, OVERLOADED, LOST}),
        back_to_normal_s=back,
        service_mib=resident_mib(process),
        generator_share=load.generator_share,
    )


def percentile(ms: NDArray[np.float64], rank: float) -> float:
    """NaN of nothing."""
    return float(np.percentile(ms, rank)) if len(ms) else float("nan")


def back_to_normal_s(after: Load, most_ms: float) -> float:
    """When the first was due of some calls in a row that were answered well and in time; infinite where none was."""
    well = (after.statuses == 200) & (after.ms <= most_ms)
    runs = (number for number in range(len(well) - CALM_CALLS + 1) if well[number : number + CALM_CALLS].all())
    first = next(runs, None)
    return float("inf") if first is None else float(after.begun_s[first])


if __name__ == "__main__":
    main()
