"""
Does the decision hold while the catalogue grows? Precision and recall of the answers, 1,000 to 100,000 postings.

    python -m benchmarks.growth [BUNDLE] [--sizes 1000 10000 100000] [--real DIR] [--json FILE] [--plot FILE]

Kembar answers through the index on disk and the matcher that serve, at `precision_99` and `balanced`. Beside it stands
what a vector store leaves its user to do: one `score_threshold` on the cosine of concatenated vectors, chosen on these
very queries at the smallest size, once for precision .99 and once for the best f1_mean, and kept. `fused` concatenates
the same vectors by the bundle's learned weights, `plain` picture and title vector as they are. `balanced, threshold in
hindsight` is what the best threshold would have reached at each size, titles that contradict each other ruled out.

Queries are the same at every size, are not stored, and show drawn products that no bundle learned from: half of them
have partners, half are alone. No partner shares its query's picture file. The catalogue holds the partners from the
start and grows by other families of products; each larger one contains the smaller; every 15th posting is a real one
(luma, or grocery and clothing without titles), which bundles may have learned from and which is nobody's partner.

Precision, recall, f1_mean and intervals: see `benchmarks.growth_figures`.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.growth_figures import GOALS, HINDSIGHT, STORES, Key, Nearest, Outcome, bound, conclude, render, resample
from benchmarks.growth_plot import draw_growth
from benchmarks.growth_postings import CACHE, SEED, TITLED, Postings, draw_parts, encode_all, join
from benchmarks.report import write_report
from index.index import Index
from index.postings import Draft
from service.batcher import Workers
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.variants import variant_conflict
from service.matcher import Candidate, Matcher
from service.metrics import Metrics
from service.schemas import MAX_MATCHES, MatchOptions

QUERIES = 700
NOTHING = np.float32(-2)  # below every threshold
EVERY = 15  # this posting of the catalogue is a real one


def main() -> None:
    """Measure, print, draw, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/demo"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--real", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/growth.json"))
    parser.add_argument("--plot", type=Path, default=Path(".cache/benchmarks/growth.svg"), help=".svg or .png")
    options = parser.parse_args()
    sizes, bundle = sorted(options.sizes), load_bundle(options.bundle, threads=1)
    folders = {name: options.real / name for name in TITLED if (options.real / name / "postings.csv").exists()}
    real = encode_all(folders, bundle, CACHE)
    parts = draw_parts(sizes[-1] - min(sizes[-1] // EVERY, sum(map(len, real))), CACHE)
    first, *others = encode_all({part.name: part for part in parts}, bundle, CACHE)
    queries, partners = choose_queries(first, QUERIES)
    if sizes[0] - sizes[0] // EVERY < len(partners):
        raise SystemExit(
            f"--sizes: expected room for {len(partners)} partners at each, got {sizes[0]}; take 1000 or more"
        )
    catalogue = compose(join([partners, *others]), real, sizes[-1])
    found = answer_by_kembar(bundle, queries, catalogue, sizes)
    thresholds = {}
    for store, weights in zip(STORES, (bundle.decision.weights, {"image": 0.5, "title": 0.5}), strict=True):
        nearest = {size: search_store(queries, catalogue.take(slice(size)), weights) for size in sizes}
        if store == "fused":  # by the weights that Kembar decides by
            for size, found_here in nearest.items():
                agreeing = rule_out(found_here, queries, catalogue)
                found[HINDSIGHT, size] = agreeing.at(agreeing.thresholds()["best F1"])
        for choice, threshold in nearest[sizes[0]].thresholds().items():
            thresholds[f"{store}, {choice}"] = threshold
            found |= {(f"{store}, {choice}", size): nearest[size].at(threshold) for size in sizes}
    figures = resample(found, SEED)
    said = [f"real postings: {', '.join(folders) or f'none at {options.real}, drawn ones alone'}"]
    said += [f"{name}: score_threshold {threshold:.4f}" for name, threshold in thresholds.items()]
    said += conclude(figures, sizes)
    bounds = {key: bound(figure) for key, figure in figures.items()}
    print(render(bounds), *said, sep="\n")
    draw_growth(options.plot, bounds, sizes)
    rows = [{"decided by": name, "postings": size, **bounds[name, size]} for name, size in bounds]
    write_report(options.json, {"rows": rows, "said": said}, seed=SEED, bundle=bundle.fingerprint)


def choose_queries(drawn: Postings, most: int) -> tuple[Postings, Postings]:
    """
    Queries, and the partners of every other one.

    The first posting asks, of each product that has another picture too; the others are left out where the query shall
    be alone, and so is each that shares the query's picture file.
    """
    queries, partners = list[int](), list[int]()
    for group in dict.fromkeys(drawn.groups.tolist()):
        first, *rest = np.flatnonzero(drawn.groups == group).tolist()
        others = [row for row in rest if drawn.pictures[row] != drawn.pictures[first]]
        if others and len(queries) < most:
            partners += [] if len(queries) % 2 else others
            queries.append(first)
    return drawn.take(np.array(queries)), drawn.take(np.array(partners))


def compose(drawn: Postings, real: Sequence[Postings], size: int) -> Postings:
    """The catalogue of so many postings: drawn ones in their order, at every 15th place a real one, by lot."""
    mixed, places = join([drawn, *real]), np.arange(size)
    lots = np.random.default_rng(SEED).permutation(np.arange(len(drawn), len(mixed)))
    is_real = (places % EVERY == EVERY - 1) & (places // EVERY < len(lots))
    rows = places - np.cumsum(is_real)
    rows[is_real] = lots[: is_real.sum()]
    return mixed.take(rows)


def answer_by_kembar(
    bundle: Bundle, queries: Postings, catalogue: Postings, sizes: Sequence[int]
) -> dict[Key, Outcome]:
    """Put the catalogue into an index on disk, size after size, and ask the matcher at each, for each goal."""
    found, weights, dimensions = {}, bundle.decision.weights, bundle.dimensions
    asked = [Candidate(None, str(title), {}, _views(queries, row)) for row, title in enumerate(queries.titles)]
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(
            Index.open(Path(folder), encoder_id=bundle.manifest.encoder_id, dimensions=dimensions, weights=weights)
        ) as index,
    ):
        workers = Workers(1, Metrics())
        matcher = Matcher(index, bundle.decision, bundle.fingerprint, workers)
        for start, size in zip((0, *sizes), sizes, strict=False):
            rows = tqdm(range(start, size), desc=f"storing {size}", unit="posting", disable=None)
            for write in [index.put(_draft(catalogue, row)) for row in rows]:
                write.result()
            for goal in GOALS:
                answers = asyncio.run(_ask(matcher, asked, MatchOptions(goal=goal)))
                found[goal.value, size] = count(answers, queries, catalogue)
        workers.close()
    return found


def _draft(postings: Postings, row: int) -> Draft:
    return Draft(str(postings.ids[row]), str(postings.titles[row]) or None, {}, _views(postings, row))


def _views(postings: Postings, row: int) -> dict[str, NDArray[np.float32]]:
    return {view: vectors[row] for view, vectors in postings.vectors.items() if vectors[row].any()}


async def _ask(matcher: Matcher, queries: Sequence[Candidate], options: MatchOptions) -> list[list[str]]:
    asked = tqdm(queries, desc=options.goal, unit="query", disable=None)
    answers = [await matcher.match(query, options, ()) for query in asked]
    return [[str(match.posting_id) for match in answer.matches] for answer in answers]


def count(answers: Sequence[Sequence[str]], queries: Postings, catalogue: Postings) -> Outcome:
    """What is right of the posting ids that each query got."""
    groups = dict(zip(catalogue.ids.tolist(), catalogue.groups.tolist(), strict=True))
    right = [sum(groups[one] == own for one in ids) for ids, own in zip(answers, queries.groups, strict=True)]
    return Outcome(np.array([len(ids) for ids in answers]), np.array(right), _truth(queries, catalogue))


def _truth(queries: Postings, catalogue: Postings) -> NDArray[np.int64]:
    return np.array([(catalogue.groups == group).sum() for group in queries.groups])


def search_store(queries: Postings, catalogue: Postings, weights: Mapping[str, float]) -> Nearest:
    """Nearest by the cosine of concatenated vectors, each view times the root of its weight; a missing one is zeros."""

    def concatenated(postings: Postings) -> NDArray[np.float32]:
        parts = [np.sqrt(np.float32(weight)) * postings.vectors[view] for view, weight in weights.items()]
        rows = np.concatenate(parts, axis=1)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    depth = min(MAX_MATCHES, len(catalogue))
    scores, rows = faiss.knn(concatenated(queries), concatenated(catalogue), depth, metric=faiss.METRIC_INNER_PRODUCT)
    return Nearest(rows, scores, catalogue.groups[rows] == queries.groups[:, None], _truth(queries, catalogue))


def rule_out(nearest: Nearest, queries: Postings, catalogue: Postings) -> Nearest:
    """The same without those whose titles contradict their query's, as `balanced` answers."""
    contradicts = [
        [bool(variant_conflict(str(asked), str(title))) for title in catalogue.titles[rows]]
        for asked, rows in zip(queries.titles, nearest.rows, strict=True)
    ]
    return replace(nearest, scores=np.where(contradicts, NOTHING, nearest.scores))


if __name__ == "__main__":
    main()
