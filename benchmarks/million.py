"""
The index at a million postings: what it finds, how fast, beside writes and training, and what it takes to start.

    python -m benchmarks.million [--postings 1000000] [--steps fill first-start recall ...] [--directory DIR]

Steps, in order; each runs in a process of its own, so that its memory is its own, and can be run alone once `fill` has
been. What they leave lies under .cache/million, and figures of earlier runs stay until their step runs again.

    fill         postings straight into the database, see `benchmarks.million_vectors`
    first-start  the start that has no snapshot, and a clean close
    recall       of numpy's answers above the threshold, those that the index gives, at most 50 a question; milliseconds
                 beside bare FAISS with the same lists, the same number of them looked at and one thread
    load         p50 and p99 of searches one after the other: alone, and beside 200 additions a second
    retrain      the same while the largest set is trained anew, and the memory of it all
    starts       after a clean stop, and after kill -9 with 10,000 rows behind the snapshot
    deleted      recall once more, in a copy of which every tenth posting was deleted
    crossing     flat against inverted file, by size; needs no `fill`

Memory is anonymous memory (RssAnon), that of child processes added. Asserts nothing.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.million_vectors import CHUNK, KINDS, SEED, Chunk, Source, draw_chunk, learn_source
from benchmarks.report import write_report
from index.flat import Asked, FlatSet
from index.fusion import Fusion
from index.index import Index
from index.ivf import IvfSet
from index.postings import Draft
from index.rows import Content, Row, half_vectors, json_bytes, pack_vectors
from index.scoring import unit_float64
from index.store import Store
from index.table import Binding, Ledger
from index.training import learn_centroids, list_count, measure_probes, sample_size
from index.tuning import TUNING
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.views import Goal

K = 50
QUESTIONS = 400
T = TypeVar("T")
SHOPS = 100
VARIANTS = {"all views": KINDS[0], "picture only": KINDS[1], "title only": KINDS[2]}
Figures = dict[str, float | int | str | None]
Vectors = dict[str, NDArray[np.float32]]


class Bench:
    """The bundle, the source of vectors, and a data directory of one size."""

    def __init__(self, postings: int, directory: Path, real: Path, bundle: Path) -> None:
        self.postings, self.directory = postings, directory
        self.bundle: Bundle = load_bundle(bundle, threads=1)
        self.source: Source = learn_source(self.bundle, real)
        self.chunks = -(-postings // CHUNK)
        self.questions_each = max(2, -(-QUESTIONS // self.chunks))

    def chunk(self, number: int) -> Chunk:
        """One part of the catalogue, or beyond it."""
        return draw_chunk(self.source, number, self.questions_each)

    def open(self, directory: Path | None = None) -> Index:
        """The index, with the values that ship."""
        weights, dimensions = self.bundle.decision.weights, self.bundle.dimensions
        return Index.open(directory or self.directory, encoder_id="million", dimensions=dimensions, weights=weights)

    def floor(self, views: frozenset[str]) -> float:
        """The threshold of the goal that is the default, at this size."""
        return self.bundle.decision.score_needed(views, Goal.BALANCED, self.postings)


def fill(bench: Bench) -> Figures:
    """Write the rows as the writer thread would, a chunk a transaction."""
    shutil.rmtree(bench.directory, ignore_errors=True)
    bench.directory.mkdir(parents=True)
    ledger, begun = Ledger(0, 0, 0), time.perf_counter()
    with closing(Store(bench.directory)) as store:
        store.bind(Binding("million", dict(sorted(bench.bundle.dimensions.items()))))
        for number in range(bench.chunks):
            with store.group():
                for draft in drafts(bench, number):
                    if ledger.postings == bench.postings:
                        break
                    store.insert(as_row(bench, draft, ledger.sequence + 1))
                    label = ledger.sequence + 1
                    ledger = Ledger(label, ledger.postings + 1, ledger.sequence_sum + label)
                store.write_ledger(ledger)
            store.checkpoint()
            say(f"{ledger.postings} of {bench.postings} postings stored, {ledger.postings / since(begun):.0f}/s")
    size = (bench.directory / "postings.sqlite").stat().st_size
    return {"rows/s": ledger.postings / since(begun), "database GB": size / 1e9}


def first_start(bench: Bench) -> Figures:
    """Without snapshots: all rows verified, large sets trained."""
    for file in bench.directory.glob("*.ivf"):
        file.unlink()
    with peak_memory() as peak:
        begun = time.perf_counter()
        index = bench.open()
        figures: Figures = {"first start s": since(begun)}
    health = index.health()
    for views, one in health.sets.items():
        figures |= {f"{views}: kind": one.kind, f"{views}: postings": one.postings, f"{views}: lists": one.lists}
    begun = time.perf_counter()
    index.close()
    size = sum(file.stat().st_size for file in bench.directory.glob("*.ivf"))
    return {**figures, "peak GiB": peak[0], "close with snapshots s": since(begun), "snapshots GB": size / 1e9}


def recall(bench: Bench, directory: Path | None = None, deleted: Sequence[bool] = ()) -> Figures:
    """Per kind of question, and with a filter that keeps one shop of a hundred; and the time beside bare FAISS."""
    questions, partners = ask(bench)
    figures: Figures = {}
    with closing(bench.open(directory)) as index:
        settle(index)
        figures["steady GiB"] = own_memory()
        for name, views in VARIANTS.items():
            asked = [{view: question[view] for view in views} for question in questions]
            expected = answers(bench, asked, None, deleted)
            figures |= compared(bench, index, name, asked, expected, [None] * len(asked))
        known = [number for number, partner in enumerate(partners) if partner >= 0]
        asked, shops = [questions[number] for number in known], [int(partners[number]) % SHOPS for number in known]
        expected = answers(bench, asked, shops, deleted)
        figures |= compared(bench, index, "filter of 1 %", asked, expected, [{"shop": shop} for shop in shops])
    return figures


def compared(
    bench: Bench,
    index: Index,
    name: str,
    asked: Sequence[Vectors],
    expected: Sequence[set[str]],
    filters: Sequence[Mapping[str, int] | None],
) -> Figures:
    """How many of the expected answers the index gives, and in what time."""
    found = total = 0
    ours, bare, rows = [], [], []
    for question, right, where in zip(asked, expected, filters, strict=True):
        if where is None:
            bare.append(milliseconds(partial(ask_faiss, bench, index, question))[0])
        took, hits = milliseconds(partial(index.search, question, k=K, floors=bench.floor, where=where))
        given = {hit.posting.posting_id for hit in hits if hit.score >= bench.floor(frozenset(hit.scores))}
        ours.append(took)
        rows.append(len(hits))
        found, total = found + len(given & right), total + len(right)
    figures: Figures = {
        f"{name}: found of brute force's": found / total if total else None,
        f"{name}: answers": total,
        f"{name}: p50 ms": float(np.median(ours)),
        f"{name}: p99 ms": float(np.percentile(ours, 99)),
    }
    if bare:
        figures[f"{name}: bare FAISS p50 ms"] = float(np.median(bare))
        figures[f"{name}: p50 over bare FAISS"] = float(np.median(ours) / np.median(bare))
        figures[f"{name}: lists probed"] = probed(bench, index, asked[0])
    say(json.dumps(figures))
    return figures


def ask_faiss(bench: Bench, index: Index, question: Vectors) -> None:
    """The same question to FAISS alone, in each view set."""
    nothing = np.empty(0, dtype=np.int64)
    for stored, asked in asked_of(bench, index, question):
        stored.nearest(asked, K, None, nothing)


def probed(bench: Bench, index: Index, question: Vectors) -> str:
    """Of each view set, how many lists a question looks at."""
    pairs = asked_of(bench, index, question)
    return ", ".join(
        f"{stored.to_probe(asked)}/{stored.lists}" for stored, asked in pairs if isinstance(stored, IvfSet)
    )


def asked_of(bench: Bench, index: Index, question: Vectors) -> list[tuple[FlatSet | IvfSet, Asked]]:
    """Each view set that shares a view with the question, and what it is asked."""
    units = {view: unit_float64(half) for view, half in half_vectors(question, bench.bundle.dimensions).items()}
    pairs = []
    for stored in index._parts.sets.current().values():
        shared = {view: unit for view, unit in units.items() if view in stored.fusion.views}
        if shared and isinstance(stored, FlatSet | IvfSet):
            names = frozenset(shared)
            pairs.append((stored, Asked(stored.fusion.query(shared), names, bench.floor(names))))
    return pairs


def load(bench: Bench, seconds: float = 30.0) -> Figures:
    """One search after the other, alone and beside additions that come at an even rate."""
    questions, _ = ask(bench)
    figures: Figures = {}
    with closing(bench.open()) as index:
        settle(index)
        new = [draft for number in range(4) for draft in drafts(bench, bench.chunks + number)]
        for name in ("alone", "beside 200 additions/s", "alone again"):
            stop = threading.Event()
            arguments = (index, new, 200 if "200" in name else 0, stop)
            writer = threading.Thread(target=add, args=arguments)
            writer.start()
            figures |= timed(bench, index, name, questions, lasting(seconds))
            stop.set()
            writer.join()
            say(json.dumps(figures))
    return figures


def add(index: Index, new: list[Draft], rate: int, stop: threading.Event) -> None:
    """Put drafts at an even rate, whatever each takes."""
    begun, waiting = now(), list[Future[object]]()
    while rate and new and not stop.wait(max(0.0, begun + len(waiting) / rate - now())):
        waiting.append(index.put(new.pop()))  # type: ignore[arg-type]  # a future of whatever
    for future in waiting:
        future.result()


def retrain(bench: Bench) -> Figures:
    """The largest set anew, while searches go on and nothing is written."""
    questions, _ = ask(bench)
    with closing(bench.open()) as index:
        settle(index)
        views = max(index._parts.sets.current().items(), key=lambda one: len(one[1]))[0]
        figures = timed(bench, index, "alone", questions, lasting(30))
        figures["steady GiB"] = own_memory()
        builder = threading.Thread(target=index._upkeep.build, args=(views,))
        with peak_memory() as peak:
            begun = now()
            builder.start()
            figures |= timed(bench, index, "while training", questions, builder.is_alive)
            figures["build s"] = since(begun)
        figures["peak GiB"] = peak[0]
        figures["steady after it GiB"] = own_memory()
    return figures


def timed(bench: Bench, index: Index, name: str, questions: Sequence[Vectors], go_on: Callable[[], bool]) -> Figures:
    """Ask one question after the other."""
    times = []
    while go_on():
        question = questions[len(times) % len(questions)]
        times.append(milliseconds(partial(index.search, question, k=K, floors=bench.floor))[0])
    percentiles = {f"p{part}": float(np.percentile(times, part)) for part in (50, 99, 99.9)}
    return {f"{name}: {key} ms": value for key, value in {**percentiles, "most": max(times)}.items()} | {
        f"{name}: searches": len(times)
    }


def starts(bench: Bench) -> Figures:
    """Seconds from `Index.open` to an open index: after a clean stop, and after a kill with rows behind."""
    bench.open().close()  # whatever was behind is in the snapshot now
    begun = now()
    index = bench.open()
    figures: Figures = {"start after a clean stop s": since(begun), "start GiB": own_memory()}
    index.close()
    say(json.dumps(figures))
    killed = multiprocessing.get_context("fork").Process(target=write_and_die, args=(bench, 10_000))
    killed.start()
    killed.join()
    begun = now()
    index = bench.open()
    figures["start after kill -9 with 10,000 rows behind s"] = since(begun)
    figures["rows behind"] = sum(one.rows_behind for one in index.health().sets.values())
    figures["count"] = index.count()
    index.close()
    return figures


def write_and_die(bench: Bench, count: int) -> None:
    """Put so many postings, each acknowledged, and be killed."""
    index = bench.open()
    new = [draft for number in range(2) for draft in drafts(bench, bench.chunks + 10 + number)]
    for future in [index.put(draft) for draft in new[:count]]:
        future.result()
    os.kill(os.getpid(), signal.SIGKILL)


def deleted(bench: Bench) -> Figures:
    """Every tenth posting goes, by the front door, in a copy."""
    copy = bench.directory.with_name(bench.directory.name + "-deleted")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bench.directory, copy)
    begun = now()
    with closing(bench.open(copy)) as index:
        for future in [index.delete(posting_id(number)) for number in range(0, bench.postings, 10)]:
            future.result()
    say(f"deleted at {bench.postings / 10 / since(begun):.0f}/s")
    gone = [number % 10 == 0 for number in range(bench.postings)]
    figures = recall(bench, copy, gone)
    shutil.rmtree(copy)
    return figures


def crossing(bench: Bench) -> Figures:
    """Median search of a set with all views, by size, flat and as an inverted file."""
    figures: Figures = {}
    views, dimensions, weights = KINDS[0], bench.bundle.dimensions, bench.bundle.decision.weights
    fusion = Fusion(views, dimensions, weights)
    for size in (2_500, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000):
        chunks = [bench.chunk(number).vectors for number in range(-(-size // CHUNK))]
        halves = np.vstack([np.hstack([chunk[view] for view in views]) for chunk in chunks])[:size].astype(np.float16)
        flat, sample = FlatSet(fusion), fusion.rows(halves)[np.random.default_rng(0).permutation(size)]
        sample = sample[: sample_size(size, TUNING)]
        centroids = learn_centroids(sample, list_count(size, TUNING), TUNING.rounds)
        ivf = IvfSet(fusion, centroids, measure_probes(sample, centroids, fusion, TUNING), size)
        for one in (flat, ivf):
            one.prepare(list(range(size)), halves)()
        floor = bench.floor(frozenset(views))
        asked = [Asked(row[None], frozenset(views), floor) for row in fusion.rows(halves[:200]) / fusion.total(views)]
        nothing = np.empty(0, dtype=np.int64)
        for name, stored in (("flat", flat), ("ivf", ivf)):
            times = [milliseconds(partial(stored.nearest, one, K, None, nothing))[0] for one in asked]
            figures[f"{size}: {name} p50 ms"] = float(np.median(times))
        figures[f"{size}: lists probed"] = f"{ivf.to_probe(asked[0])}/{ivf.lists}"
        say(json.dumps(figures))
    return figures


def ask(bench: Bench) -> tuple[list[Vectors], NDArray[np.int64]]:
    """All questions, and the number of a stored posting of the same product, or -1."""
    questions, partners = list[Vectors](), list[int]()
    for number in range(bench.chunks):
        chunk = bench.chunk(number)
        for row, partner in enumerate(chunk.partners.tolist()):
            questions.append({view: vectors[row] for view, vectors in chunk.questions.items()})
            partners.append(partner + number * CHUNK if 0 <= partner < bench.postings - number * CHUNK else -1)
    return questions, np.array(partners)


def answers(
    bench: Bench, asked: Sequence[Vectors], shops: Sequence[int] | None, deleted: Sequence[bool]
) -> list[set[str]]:
    """By numpy, over all postings: per question the ids of the best at the threshold or above, per shared views."""
    weights, best = bench.bundle.decision.weights, [dict[str, list[tuple[float, int]]]() for _ in asked]
    queries = {view: np.stack([question[view] for question in asked]) for view in asked[0]}
    gone = np.array(deleted, dtype=bool)
    for number in range(bench.chunks):
        chunk, first = bench.chunk(number), number * CHUNK
        cosines = {view: queries[view] @ chunk.vectors[view].T for view in queries}
        numbers = first + np.arange(CHUNK)
        stored = numbers < bench.postings
        if len(gone):
            stored[stored] &= ~gone[numbers[stored]]
        for kind, views in enumerate(KINDS):
            shared = [view for view in views if view in queries]
            if not shared:
                continue
            floor = bench.floor(frozenset(shared))
            scores = sum(weights[view] * cosines[view] for view in shared) / sum(weights[view] for view in shared)
            near = (
                (scores >= floor + 1e-4) & stored & (chunk.kinds == kind)
            )  # float16 and the order of sums decide below
            for question, row in np.argwhere(near).tolist():
                if shops is None or (first + row) % SHOPS == shops[question]:
                    best[question].setdefault("+".join(shared), []).append((-float(scores[question, row]), first + row))
    # Kembar gives at most K for each set of shared views, whatever more the posting has.
    return [{posting_id(row) for hits in one.values() for _, row in sorted(hits)[:K]} for one in best]


def drafts(bench: Bench, number: int) -> Iterator[Draft]:
    """A chunk as postings."""
    chunk = bench.chunk(number)
    for row, kind in enumerate(chunk.kinds.tolist()):
        place = number * CHUNK + row
        vectors = {view: chunk.vectors[view][row] for view in KINDS[kind]}
        yield Draft(posting_id(place), f"Posting {place}", {"shop": place % SHOPS, "half": place % 2}, vectors)


def as_row(bench: Bench, draft: Draft, label: int) -> Row:
    """A posting as it is stored."""
    views, blob = pack_vectors(half_vectors(draft.vectors, bench.bundle.dimensions))
    title = None if draft.title is None else draft.title.encode()
    content = Content(draft.posting_id.encode(), title, json_bytes(draft.metadata), None, views, blob)
    return Row(label, label, 1, 1, content)


def posting_id(number: int) -> str:
    return f"posting-{number:08}"


def settle(index: Index) -> None:
    """Wait until the rows are verified and snapshots written."""
    while not index.health().verified or index.health().building:
        time.sleep(1)
    time.sleep(3)


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The most GiB at once, of this process and its children."""
    peak, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            peak[0] = max(peak[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield peak
    stop.set()
    watcher.join()


def own_memory() -> float:
    """Anonymous memory of this process and its children, GiB."""
    own = os.getpid()
    children = Path(f"/proc/{own}/task").glob("*/children")
    pids = [str(own), *(pid for file in children for pid in file.read_text().split())]
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
    return total / 2**20


def milliseconds(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = work()
    return (time.perf_counter() - begun) * 1e3, result


def lasting(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have not yet passed since now."""
    end = now() + seconds
    return lambda: now() < end


def now() -> float:
    return time.perf_counter()


def since(begun: float) -> float:
    return time.perf_counter() - begun


def say(line: str) -> None:
    print(line, flush=True)


STEPS: dict[str, Callable[[Bench], Figures]] = {
    "fill": fill,
    "first-start": first_start,
    "recall": recall,
    "load": load,
    "retrain": retrain,
    "starts": starts,
    "deleted": deleted,
    "crossing": crossing,
}


def main() -> None:
    """Run the steps, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postings", type=int, default=1_000_000)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--directory", type=Path, default=Path(".cache/million"))
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", type=Path, default=Path("bundles/demo"))
    parser.add_argument("--json", type=Path, help="default: .cache/benchmarks/million-POSTINGS.json")
    options = parser.parse_args()
    report = options.json or Path(f".cache/benchmarks/million-{options.postings}.json")
    figures = json.loads(report.read_text())["figures"] if report.exists() else {}
    arguments = (options.postings, options.directory / str(options.postings), options.real, options.bundle)
    for step in options.steps:
        say(f"--- {step}")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            figures[step] = pool.submit(run, step, arguments).result()
        for name, figure in figures[step].items():
            say(f"{step:12} {name:45} {figure if isinstance(figure, str | None) else format(figure, '.4g')}")
        write_report(report, figures, seed=SEED, bundle=load_bundle(options.bundle, threads=1).fingerprint)


def run(step: str, arguments: tuple[int, Path, Path, Path]) -> Figures:
    """One step, in this process."""
    return STEPS[step](Bench(*arguments))


if __name__ == "__main__":
    main()
