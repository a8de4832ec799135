"""
Does the decision hold while the catalogue grows? Precision and recall of the answers, 1,000 to 100,000 postings.

    python -m benchmarks.growth [BUNDLE] [--sizes 1000 10000 100000] [--real DIR] [--json FILE] [--plot FILE]

Kembar answers through the index on disk and the matcher that serve, at `precision_99` and `balanced`. Beside it stands
what a vector store leaves its user to do: one `score_threshold` on the cosine of concatenated vectors, chosen on these
very queries at the smallest size, once for precision .99 and once for the best f1_mean, and kept. `fused` concatenates
the same vectors by the bundle's learned weights, `plain` picture and title vector as they are.

Queries are the same at every size, are not stored, and show drawn products that no bundle learned from: half of them
have partners, half are alone. No partner shares its query's picture file. The catalogue holds the partners from the
start and grows by other families of products; each larger one contains the smaller; every 15th posting is a real one
(luma, or grocery and clothing without titles), which bundles may have learned from and which is nobody's partner.

Precision is right answers / answers, summed over all queries; recall is the mean, over the queries with partners, of
the share of partners answered; f1_mean counts the query itself (EVALUATION.md). Intervals: 95 %, bootstrap over
products.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from tqdm.asyncio import tqdm_asyncio

from benchmarks.growth_plot import draw_growth
from benchmarks.growth_postings import CACHE, SEED, TITLED, Postings, draw_parts, encode_all, join
from benchmarks.report import write_report
from index.index import Index
from index.postings import Draft
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.views import Goal
from service.matcher import Candidate, Matcher
from service.metrics import Metrics
from service.schemas import MAX_MATCHES, MatchOptions

QUERIES = 700
STORES, CHOICES = ("fused", "plain"), ("precision .99", "best F1")
GOALS = (Goal.PRECISION_99, Goal.BALANCED)
EVERY = 15  # this posting of the catalogue is a real one
THRESHOLDS = np.round(np.arange(-1, 1.0001, 0.0025), 4)
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Key = tuple[str, int]  # way of deciding, postings in the catalogue
Bounds = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What n queries got, (n,) each: how many answers, how many of them right, how many partners there are."""

    answers: Integers
    hits: Integers
    truth: Integers

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """The figures under each weighting of the queries (r, n), (r,) each; nothing answered counts as precise."""
        answers, paired = weights @ self.answers, weights * (self.truth > 0)
        f1 = 2 * (self.hits + 1) / (self.answers + self.truth + 2)
        return {
            "precision": np.divide(weights @ self.hits, answers, out=np.ones(len(weights)), where=answers > 0),
            "recall": paired @ (self.hits / np.maximum(self.truth, 1)) / paired.sum(1),
            "f1_mean": weights @ f1 / weights.sum(1),
            "alone_answered": (weights - paired) @ (self.answers > 0) / (weights - paired).sum(1),
        }


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest postings of each query: cosine and whether it is a partner, (n, k) each, falling."""

    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    truth: Integers

    def at(self, threshold: float) -> Outcome:
        """What one `score_threshold` answers."""
        answered = self.scores >= threshold
        return Outcome(answered.sum(1), (answered & self.right).sum(1), self.truth)


def choose_queries(drawn: Postings, most: int) -> tuple[Postings, Postings]:
    """The first posting of each product that has another picture too asks; every other product keeps its partners."""
    queries, partners = list[int](), list[int]()
    for group in dict.fromkeys(drawn.groups.tolist()):
        first, *rest = np.flatnonzero(drawn.groups == group).tolist()
        others = [row for row in rest if drawn.pictures[row] != drawn.pictures[first]]
        if others and len(queries) < most:
            partners += [] if len(queries) % 2 else others
            queries.append(first)
    return drawn.take(np.array(queries)), drawn.take(np.array(partners))


def compose(drawn: Postings, real: Sequence[Postings], size: int) -> Postings:
    """The catalogue of so many postings: the drawn ones in their order, at every 15th place a real one, by lot."""
    mixed = join([drawn, *real])
    lots = np.random.default_rng(SEED).permutation(np.arange(len(drawn), len(mixed)))
    places = np.arange(size)
    is_real = (places % EVERY == EVERY - 1) & (places // EVERY < len(lots))
    rows = places - np.cumsum(is_real)
    rows[is_real] = lots[: is_real.sum()]
    return mixed.take(rows)


def answer_by_kembar(
    bundle: Bundle, queries: Postings, catalogue: Postings, sizes: Sequence[int]
) -> dict[Key, Outcome]:
    """Put the catalogue into an index, size after size, and ask the matcher at each for each goal."""
    groups = dict(zip(catalogue.ids.tolist(), catalogue.groups.tolist(), strict=True))
    asked = [Candidate(None, str(queries.titles[row]), {}, _views(queries, row)) for row in range(len(queries))]
    found = {}
    with tempfile.TemporaryDirectory() as folder, closing(_open(bundle, Path(folder))) as index:
        matcher = Matcher(index, bundle.decision, bundle.fingerprint, threads=2, metrics=Metrics())
        for start, size in zip((0, *sizes), sizes, strict=False):
            rows = tqdm(range(start, size), desc=f"storing {size}", unit="posting", disable=None)
            drafts = (
                Draft(str(catalogue.ids[row]), str(catalogue.titles[row]) or None, {}, _views(catalogue, row))
                for row in rows
            )
            for write in [index.put(draft) for draft in drafts]:
                write.result()
            for goal in GOALS:
                answers = asyncio.run(_ask(matcher, asked, MatchOptions(goal=goal)))
                right = [
                    [groups[one] == group for one in ids] for ids, group in zip(answers, queries.groups, strict=True)
                ]
                hits = np.array([sum(row) for row in right])
                truth = _truth(queries, catalogue)
                found[goal.value, size] = Outcome(np.array([len(ids) for ids in answers]), hits, truth)
        matcher.lane.close()
    return found


def _open(bundle: Bundle, folder: Path) -> Index:
    manifest = bundle.manifest
    weights = bundle.decision.weights
    return Index.open(folder, encoder_id=manifest.encoder_id, dimensions=bundle.dimensions, weights=weights)


async def _ask(matcher: Matcher, queries: Sequence[Candidate], options: MatchOptions) -> list[list[str | None]]:
    calls = [matcher.match(query, options, (), time.perf_counter()) for query in queries]
    answers = await tqdm_asyncio.gather(*calls, desc=options.goal, unit="query", disable=None)
    return [[match.posting_id for match in answer.matches] for answer in answers]


def _views(postings: Postings, row: int) -> dict[str, NDArray[np.float32]]:
    return {view: vectors[row] for view, vectors in postings.vectors.items() if vectors[row].any()}


def _truth(queries: Postings, catalogue: Postings) -> Integers:
    groups, counts = np.unique(catalogue.groups, return_counts=True)
    known = dict(zip(groups.tolist(), counts.tolist(), strict=True))
    return np.array([known.get(group, 0) for group in queries.groups.tolist()])


def search_store(queries: Postings, catalogue: Postings, weights: Mapping[str, float]) -> Nearest:
    """Nearest by the cosine of concatenated vectors, each view times the root of its weight; a missing one is zeros."""

    def concatenated(postings: Postings) -> NDArray[np.float32]:
        parts = [np.sqrt(np.float32(weight)) * postings.vectors[view] for view, weight in weights.items()]
        rows = np.concatenate(parts, axis=1)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    depth = min(MAX_MATCHES, len(catalogue))
    scores, rows = faiss.knn(concatenated(queries), concatenated(catalogue), depth, metric=faiss.METRIC_INNER_PRODUCT)
    return Nearest(scores, catalogue.groups[rows] == queries.groups[:, None], _truth(queries, catalogue))


def fix_thresholds(nearest: Nearest) -> dict[str, float]:
    """The lowest threshold from which on precision is .99, and that of the best f1_mean."""
    ones = np.ones((1, len(nearest.truth)))
    figures = [nearest.at(float(threshold)).measure(ones) for threshold in THRESHOLDS]
    precise = np.array([figure["precision"][0] >= 0.99 for figure in figures])
    from_there_on = np.logical_and.accumulate(precise[::-1])[::-1]
    best = np.argmax([figure["f1_mean"][0] for figure in figures])
    columns = (np.argmax(from_there_on), best)
    return {choice: float(THRESHOLDS[column]) for choice, column in zip(CHOICES, columns, strict=True)}


@dataclass(frozen=True, slots=True)
class Row:
    """One way of deciding at one size: per figure (value, low, high); `change` since the smallest size, likewise."""

    name: str
    postings: int
    figures: Mapping[str, Bounds]
    change: Mapping[str, Bounds]


def resample(found: Mapping[Key, Outcome]) -> dict[Key, dict[str, Floats]]:
    """Each figure as it is, and in 1,000 bootstrap resamples of the queries, the same ones for all: (1001,)."""
    queries = len(next(iter(found.values())).truth)
    draws = np.random.default_rng(SEED).multinomial(queries, np.full(queries, 1 / queries), 1000)
    return {key: outcome.measure(np.vstack([np.ones(queries), draws])) for key, outcome in found.items()}


def bound(one: Mapping[str, Floats], less: Mapping[str, Floats] | None = None) -> dict[str, Bounds]:
    """Value and 95 % interval of each figure, or of what it is above another's."""
    values = {name: figure - (less[name] if less else 0) for name, figure in one.items()}
    return {
        name: (round(float(figure[0]), 4), *np.round(np.quantile(figure[1:], (0.025, 0.975)), 4).tolist())
        for name, figure in values.items()
    }


def conclude(measured: Mapping[Key, Mapping[str, Floats]], sizes: Sequence[int]) -> list[str]:
    """Whether the target is met, what each kept threshold lost, and where Kembar has an advantage over it, or none."""
    first, last = sizes[0], sizes[-1]
    kembar = [measured["precision_99", size] for size in sizes]
    precision = min(float(figures["precision"][0]) for figures in kembar)
    moved = max(abs(float(figures["recall"][0] - kembar[0]["recall"][0])) for figures in kembar)
    lines = [
        f"precision_99: least precision {precision:.3f} (target .97: {'met' if precision >= 0.97 else 'missed'}), "
        f"recall moves by {moved:.3f} (target .03: {'met' if moved <= 0.03 else 'missed'})"
    ]
    for store in STORES:
        for goal, chosen in zip(GOALS, CHOICES, strict=True):
            name = f"{store}, {chosen}"
            lost = bound(measured[name, last], measured[name, first])
            gain = bound(measured[goal.value, last], measured[name, last])
            figure = "precision" if goal is Goal.PRECISION_99 else "f1_mean"
            verdict = "an advantage" if gain[figure][1] > 0 else "NO ADVANTAGE"
            lines.append(f"{name}, {first:,} to {last:,} postings: {_say(lost)}")
            lines.append(f"  {goal} over it at {last:,}: {_say(gain)}: {verdict} in {figure}")
    return lines


def _say(figures: Mapping[str, Bounds]) -> str:
    told = ("precision", "recall", "f1_mean")
    return ", ".join(f"{name} {{:+.3f}} [{{:+.3f}}, {{:+.3f}}]".format(*figures[name]) for name in told)


def render(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [
        "| decided by | postings | precision | recall | f1_mean | alone, yet answered |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*figure) for figure in row.figures.values()]
        lines.append(f"| {row.name} | {row.postings:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, draw, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/growth.json"))
    parser.add_argument("--plot", type=Path, default=Path(".cache/benchmarks/growth.svg"))
    options = parser.parse_args()
    sizes = sorted(options.sizes)
    bundle = load_bundle(options.bundle, threads=1)
    folders = {name: options.real / name for name in TITLED if (options.real / name / "postings.csv").exists()}
    real = encode_all(folders, bundle, CACHE)
    print(f"real postings: {', '.join(folders) or f'none at {options.real}, drawn ones alone'}")
    wanted = sizes[-1] - min(sizes[-1] // EVERY, sum(map(len, real)))
    first, *others = encode_all({folder.name: folder for folder in draw_parts(wanted, CACHE)}, bundle, CACHE)
    queries, partners = choose_queries(first, QUERIES)
    if len(partners) * EVERY > sizes[0] * (EVERY - 1):
        raise SystemExit(f"expected sizes of at least {len(partners) * 15 // 14 + 1}: all partners are there at each")
    catalogue = compose(join([partners, *others]), real, sizes[-1])
    found, thresholds = measure_all(bundle, queries, catalogue, sizes)
    measured = resample(found)
    rows = [Row(*key, bound(one), bound(one, measured[key[0], sizes[0]])) for key, one in measured.items()]
    said = [f"{len(queries)} queries, {int((_truth(queries, catalogue) > 0).sum())} of them with partners"]
    said += [f"{name}: threshold {threshold:.4f}" for name, threshold in thresholds.items()]
    said += conclude(measured, sizes)
    print(render(rows), *said, sep="\n")
    draw_growth(options.plot, {key: bound(one) for key, one in measured.items()}, sizes)
    figures = {"rows": [asdict(row) for row in rows], "thresholds": thresholds, "said": said}
    write_report(options.json, figures, seed=SEED, bundle=bundle.fingerprint)


def measure_all(
    bundle: Bundle, queries: Postings, catalogue: Postings, sizes: Sequence[int]
) -> tuple[dict[Key, Outcome], dict[str, float]]:
    """What each way of deciding answers at each size, and the thresholds that were chosen at the first and kept."""
    found, thresholds = answer_by_kembar(bundle, queries, catalogue, sizes), dict[str, float]()
    for store, weights in {"fused": bundle.decision.weights, "plain": {"image": 0.5, "title": 0.5}}.items():
        for size in sizes:
            nearest = search_store(queries, catalogue.take(np.arange(size)), weights)
            if size == sizes[0]:
                thresholds |= {f"{store}, {choice}": score for choice, score in fix_thresholds(nearest).items()}
            for choice in CHOICES:
                found[f"{store}, {choice}", size] = nearest.at(thresholds[f"{store}, {choice}"])
    return found, thresholds


if __name__ == "__main__":
    main()
