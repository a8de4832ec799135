"""
What the decision is worth: fusion, a threshold that travels, and sizes told apart.

    python -m benchmarks.decisions REAL [--out DIR] [--json FILE] [--only fusion travel variants]

REAL holds `luma`, `grocery` and `clothing`, each with postings.csv and images/; 3,000 postings are drawn beside them.
Bundles are trained with the recipe's defaults and kept; of a catalogue three folds, whose test parts are asked.
Postings that share the query's picture file are no answers and no truth. F1 is `f1_mean` of the queries as they are
and, as `balanced` is fitted, with half of them singletons; `best` is at the threshold that is best in hindsight.
Intervals: bootstrap over products (over families for pairs of sizes), 1,000 resamples.

- fusion: every set of views before the same queries; what all views gain over the best single view, and over the better
  of picture and whole title. Thresholds are the bundle's; for a set that it does not carry, fitted as those are. `luma
  nameless` is luma where half of the titles, by lot, have lost their product's name: words that stand in all titles of
  the product and in those of at most 2 % of the others. Kind, size and colour stay, and so does a title that is but a
  name.
- travel: a bundle of drawn postings, grocery and clothing (two without titles) decides for luma, all of it.
- variants: drawn products that differ in size alone, pair by pair, each by its own score, shared pictures among them;
  and what it costs in recall that titles which contradict each other are rejected.

That shuffled labels leave nothing is held by tests/model_training/test_no_leaks.py.
"""

import argparse
import csv
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import combinations, count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.folds import COLUMNS, bootstrap
from benchmarks.report import write_report
from model_training.decide import THRESHOLDS, fit_decision
from model_training.metrics import f1_mean, f1_mean_alone, query_only
from model_training.ranking import Ranking, rank, sweep
from model_training.recipe import Recipe
from model_training.report.evidence import Evidence, gather
from model_training.sample.catalogue import draw_catalogue
from model_training.sample.products import draw_family
from model_training.train import train
from service.bundle.decision import score_needed
from service.bundle.title import normalise_title
from service.bundle.variants import variant_conflict
from service.bundle.views import TITLE_VIEWS, Goal, View, view_set_key

QUESTIONS = ("fusion", "travel", "variants")
SEED = 60_000  # of what is drawn, and of the lot
UNTITLED = ("grocery", "clothing")  # they have names of classes instead of titles
VIEW_SETS = {view_set_key(views): frozenset(views) for size in (1, 2, 3) for views in combinations(View, size)}
PICTURE, TEXT, ALL = SERVED = ("image", "title+lexical", "image+title+lexical")  # what a bundle decides by
RIVALS = {"best single view": ("image", "title", "lexical"), "better of picture and title": (PICTURE, TEXT)}
LEAST_GAIN = {"luma": -0.005, "luma nameless": 0.05, "drawn": 0.05}
LEAST_KEPT, MOST_MATCHED, MOST_LOST = 0.90, 0.02, 0.01
F1S = ("best", "learned", "half singletons, best", "half singletons, learned")
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Line = tuple[str, dict[str, float], str]  # of what, its figures, what the target says of them


def main() -> None:
    """Train what is not there yet, measure, print as it comes, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".cache/decisions"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/decisions.json"))
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--drawn", type=int, default=3000, help="how many postings are drawn")
    options = parser.parse_args()
    folders = lay_out(options.real, options.out, options.drawn)
    figures: defaultdict[str, dict[str, object]] = defaultdict(dict)
    plan: list[tuple[str, str, str, Callable[[Sequence[Evidence]], Iterable[Line]]]] = [
        *(("fusion", name, name, partial(fuse, least=least)) for name, least in LEAST_GAIN.items()),
        ("travel", "elsewhere", "luma", travel),
        *(("variants", name, name, price_rejection) for name in ("luma", "drawn")),
        ("variants", "drawn", "drawn", tell_sizes),
    ]
    for question, learned, asked, measure in (step for step in plan if step[0] in options.only):
        numbers = range(options.folds if learned == asked else 1)
        folds = [examine(folders[learned], folders[asked], options.out, Recipe(fold=fold)) for fold in numbers]
        for name, values, target in measure(folds):
            said = ", ".join(f"{what} {round(value, 4)}" for what, value in values.items())
            print(f"{question}, {asked}: {name}: {said}{target and f' ({target})'}", flush=True)
            figures[f"{question}, {asked}"][name] = {**values, "target": target}
    write_report(options.json, figures, seed=SEED)


def lay_out(real: Path, out: Path, drawn: int) -> dict[str, Path]:
    """Write the catalogues that are not there yet; gives their folders, each with postings.csv and images/."""
    sources = {"drawn": out / f"drawn-{drawn}", **{name: real / name for name in ("luma", *UNTITLED)}}
    if not sources["drawn"].exists():
        shutil.rmtree(out / "unfinished", ignore_errors=True)
        draw_catalogue(out / "unfinished", products=0, seed=SEED, postings=drawn)
        (out / "unfinished").rename(sources["drawn"])
    mixtures = {out / "luma-nameless": ("luma",), out / f"elsewhere-{drawn}": ("drawn", *UNTITLED)}
    for folder, names in mixtures.items():
        mix(folder, {name: sources[name] for name in names})
    return dict(zip(("luma nameless", "elsewhere"), mixtures, strict=True)) | sources


def mix(folder: Path, sources: Mapping[str, Path]) -> None:
    """Write one catalogue of several, ids and groups prefixed; luma's titles lose names, those of UNTITLED go."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "postings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, source in sources.items():
            link = folder / "images" / name
            if not link.exists():
                link.symlink_to((source / "images").resolve(), target_is_directory=True)
            with (source / "postings.csv").open(newline="", encoding="utf-8") as feed:
                rows = list(csv.DictReader(feed))
            groups = [row["label_group"] and f"{name}-{row['label_group']}" for row in rows]
            titles = ["" if name in UNTITLED else row["title"] for row in rows]
            titles = remove_names(titles, groups) if name == "luma" else titles
            for row, title, group in zip(rows, titles, groups, strict=True):
                writer.writerow((f"{name}-{row['posting_id']}", f"{name}/{row['image']}", title, group))


def remove_names(titles: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The titles, half of them, by lot, without their product's name, as the protocol above says."""
    texts, words = [normalise_title(title) for title in titles], defaultdict[str, list[set[str]]](list)
    for text, group in zip(texts, groups, strict=True):
        words[group].append(set(re.findall(r"\w+", text.casefold())))
    products = Counter(word for its in words.values() for word in set.union(*its))
    most = 1 + 0.02 * (len(words) - 1)
    for row in np.random.default_rng(SEED).permutation(len(texts))[: len(texts) // 2].tolist():
        name = [word for word in set.intersection(*words[groups[row]]) if products[word] <= most]
        rest = re.sub(rf"\b({'|'.join(name)})\b", "", texts[row], flags=re.IGNORECASE)
        texts[row] = " ".join(rest.split()).strip(" -") or texts[row]
    return texts


@cache
def examine(learned: Path, asked: Path, out: Path, recipe: Recipe) -> Evidence:
    """What a bundle of one catalogue, trained where it is not there yet, says of a catalogue."""
    bundle, cached = out / f"bundle-{learned.name}-{recipe.key()}", out / "cache"
    if not bundle.exists():
        train(learned / "postings.csv", learned / "images", bundle, recipe, cached, save_backbone=None, notes="")
    return gather(bundle, asked / "postings.csv", asked / "images", cached)


def ask(evidence: Evidence, key: str) -> tuple[Ranking, float]:
    """The queries by these views, those that share a picture file left out, and the threshold `balanced`."""
    catalogue, views, split = evidence.material.catalogue, VIEW_SETS[key], evidence.material.split

    def ranked(queries: Rows, gallery: Rows) -> Ranking:
        vectors, at = evidence.vectors.fuse(gallery, evidence.weights(views)), np.searchsorted(gallery, queries)
        titles = [catalogue.titles[row] for row in gallery] if views & TITLE_VIEWS else None
        return rank(vectors, catalogue.groups[gallery], at, catalogue.files[gallery], titles)

    ranking = ranked(evidence.queries, np.arange(len(catalogue)))
    if key in SERVED:
        return ranking, evidence.threshold(key, Goal.BALANCED)
    fitted = fit_decision(ranked(split.validation, split.fitted), seed=evidence.recipe.seed)
    return ranking, score_needed(fitted.thresholds[Goal.BALANCED], len(split.fitted), len(catalogue))


def score(ranking: Ranking, learned: float) -> Floats:
    """(4, n): each query's F1S."""
    seen, rows = ranking.agreeing().first(), []
    grid, here = sweep(seen, THRESHOLDS), sweep(seen, np.array([learned]))
    for measure in (f1_mean, lambda counts: (f1_mean(counts) + f1_mean_alone(counts)) / 2):
        table = measure(grid)
        rows += [table[:, table.mean(0).argmax()], measure(here)[:, 0]]
    return np.stack(rows)


def fuse(folds: Sequence[Evidence], least: float) -> Iterator[Line]:
    """The F1S of every view set before the same queries, and what all views gain."""
    asked = {key: [ask(evidence, key) for evidence in folds] for key in VIEW_SETS}
    f1s = {key: np.concatenate([score(*of) for of in answers], axis=1) for key, answers in asked.items()}
    groups, truth = (np.concatenate([getattr(one, name) for one, _ in asked[ALL]]) for name in ("groups", "truth"))
    yield "query only", {"best": query_only(truth).mean, "queries": len(truth)}, ""
    for key, values in f1s.items():
        yield key, dict(zip(F1S, values.mean(1).tolist(), strict=True)), ""
    for name, keys in RIVALS.items():
        for at, measure in enumerate(F1S):
            gain = gain_over_best(f1s[ALL][at], [f1s[key][at] for key in keys])
            target = f"target >= {least}: {verdict(gain.mean() >= least)}"
            yield f"gain over the {name}, {measure}", spread(gain, groups), target


def gain_over_best(ours: Floats, rivals: Sequence[Floats]) -> Floats:
    """(n,): query by query, over the rival whose mean is highest."""
    return ours - max(rivals, key=lambda values: float(values.mean()))


def travel(folds: Sequence[Evidence]) -> Iterator[Line]:
    """What a threshold keeps that was learned on other catalogues, by one bundle."""
    (evidence,) = folds
    for key in SERVED:
        ranking, learned = ask(evidence, key)
        f1s = score(ranking, learned)
        for best, here, name in ((*f1s[:2], "as they are"), (*f1s[2:], "half singletons")):
            kept = spread(here / best, ranking.groups, best)  # the ratio of the means
            target = f"target >= {LEAST_KEPT}: {verdict(kept['estimate'] >= LEAST_KEPT)}"
            yield f"{key}, {name}, learned / best", {"best": best.mean(), "learned": here.mean(), **kept}, target


def tell_sizes(folds: Sequence[Evidence]) -> Iterator[Line]:
    """The share of pairs in another size that match; by picture alone nothing is rejected, and nothing is aimed at."""
    pairs = [pair_sizes(evidence.material.catalogue.groups, evidence.queries) for evidence in folds]
    families = np.concatenate([of for _, _, of in pairs])
    for key in SERVED:
        judged = []
        for evidence, (left, right, _) in zip(folds, pairs, strict=True):
            titles, weights = evidence.material.catalogue.titles, evidence.weights(VIEW_SETS[key])
            ends = evidence.vectors.fuse(left, weights), evidence.vectors.fuse(right, weights)
            told = [(titles[a], titles[b]) for a, b in zip(left, right, strict=True)] if key != PICTURE else None
            judged.append(judge(np.einsum("pd,pd->p", *ends), told, evidence.threshold(key, Goal.BALANCED)))
        near, matched = np.concatenate(judged, axis=1)
        found = {"pairs": len(families), "near enough": near.mean(), **spread(matched, families)}
        target = f"target <= {MOST_MATCHED}: {verdict(found['estimate'] <= MOST_MATCHED)}"
        yield f"{key}, pairs in another size that match", found, "" if key == PICTURE else target


def pair_sizes(groups: Rows, queries: Rows) -> tuple[Rows, Rows, Rows]:
    """(p,) queries, (p,) what differs from each in size alone, (p,) their family; groups number products as drawn."""
    drawn = ((number, product.variant[0], product.size) for number in count() for product in draw_family(SEED, number))
    told = zip(*islice(drawn, int(groups.max()) + 1), strict=True)
    family, variant, size = (np.array(column)[groups] for column in told)
    same = (family[queries][:, None] == family) & (variant[queries][:, None] == variant)
    at, others = np.nonzero(same & (size[queries][:, None] != size))
    return queries[at], others, family[others]


def judge(scores: NDArray[np.float32], titles: Sequence[tuple[str | None, str | None]] | None, needed: float) -> Floats:
    """(2, p) of 0 and 1: near enough; and a match, whose titles, where they are given, do not contradict besides."""
    agree = [titles is None or not variant_conflict(*titles[pair]) for pair in range(len(scores))]
    near = scores >= needed - 1e-9
    return np.stack([near, near & np.array(agree, dtype=np.bool_)]).astype(np.float64)


def price_rejection(folds: Sequence[Evidence]) -> Iterator[Line]:
    """What recall at `balanced` loses by the rejection."""
    for key in (TEXT, ALL):
        asked = [ask(evidence, key) for evidence in folds]
        found = np.concatenate([recall(*of) for of in asked], axis=1)
        lost = spread(found[1] - found[0], np.concatenate([ranking.groups for ranking, _ in asked]))
        rejecting, everything = np.nanmean(found, axis=1).tolist()
        target = f"target <= {MOST_LOST}: {verdict(lost['estimate'] <= MOST_LOST)}"
        yield f"{key}, recall lost", {"rejecting": rejecting, "not rejecting": everything, **lost}, target


def recall(ranking: Ranking, needed: float) -> Floats:
    """(2, n): share of the right answers that a query gets, rejecting and not; NaN where there is none."""
    hits = [sweep(seen.first(), np.array([needed])).hits[:, 0] for seen in (ranking.agreeing(), ranking)]
    return np.stack(hits) / np.where(ranking.truth > 0, ranking.truth, np.nan)


def spread(values: Floats, groups: Rows, weight: Floats | None = None) -> dict[str, float]:
    """The weighted mean and its interval; NaN counts for nothing."""
    there = np.isfinite(values)
    low, high = bootstrap(values, groups.astype(np.float64), weight)
    mean = np.average(values[there], weights=None if weight is None else weight[there])
    return {"estimate": float(mean), "low": low, "high": high}


def verdict(is_met: bool) -> str:
    """As every benchmark says it."""
    return "met" if is_met else "MISSED"


if __name__ == "__main__":
    main()
