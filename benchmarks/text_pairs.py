"""
Two shops' records of one product, text alone: trained on labelled pairs, one side indexed, the other queried.

    python -m benchmarks.text_pairs DIR... [--title-finetune-epochs 16] [--json FILE]

Each DIR holds a standard split: train.txt, valid.txt, test.txt; two records and a label a line (`COL name VAL ...`).

- `pair F1`: the labelled pairs of test, at the threshold that is best on those of valid.
- `served`: the right shop is indexed whole, the left records of test ask. What training or valid says to be a record's
  partner is taken out, so that a query has the partners that test names, or none. Weights and the `balanced` threshold
  are fitted by the functions that fit a bundle, on valid queries of which half have no partner, against the same index.
  Pairs that nobody labelled count as wrong.

All systems are fitted by the same functions. No label of test is read before the table.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.report import write_report
from benchmarks.shop_pairs import Matrix, Shops, material_of, read_shops
from model_training.backbones import load_title_backbone
from model_training.decide import THRESHOLDS, fit_decision
from model_training.export_encoders import export_titles
from model_training.features import compute_title_features
from model_training.learn import learn_titles
from model_training.metrics import f1_mean, f1_mean_alone, f1_mean_others, f1_pairs, recall_at_1
from model_training.ranking import Ranking, Sweep, sweep
from model_training.recipe import Recipe
from service.bundle.lexical import LexicalEncoder, learn_rarity
from service.bundle.variants import Amounts, contradictions, read_variants
from service.bundle.views import Goal

DEPTH, RESAMPLES = 200, 1000
ANALYZERS = ("char", "char_wb")  # the baseline is the one that is better on valid
SHARES = np.round(np.arange(0, 1.01, 0.05), 2)
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class System:
    """What scores every left record against every right one, (left, right); with `read`, contradictions reject."""

    name: str
    scores: Scores
    read: tuple[tuple[Amounts, ...], tuple[Amounts, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the table; intervals (95 %) are of the difference to the first line, over queries."""

    name: str
    pair_f1_valid: float
    pair_f1: float
    pair_f1_gain: tuple[float, float]
    f1_mean_others: float
    f1_mean_others_gain: tuple[float, float]
    with_partner: float
    false_alarms: float
    recall_at_1: float


def main() -> None:
    """Train, measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--title-finetune-epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(".cache/text_pairs"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/text_pairs.json"))
    options = parser.parse_args()
    recipe = Recipe(title_finetune_epochs=options.title_finetune_epochs, seed=options.seed)
    results = {}
    for folder in options.folders:
        shops = read_shops(folder)
        lines = list(measure(shops, systems_of(shops, recipe, options.cache)))
        results[folder.name] = [dataclasses.asdict(line) for line in lines]
        print(f"\n{folder.name}: {len(shops.left)} records left, {len(shops.right)} right\n\n{render(lines)}")
    write_report(options.json, results, seed=options.seed)


def render(lines: Sequence[Figures]) -> str:
    """A Markdown table; gains as intervals."""
    names = [field.name for field in dataclasses.fields(Figures)]
    cells = [[_say(value) for value in dataclasses.astuple(line)] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in [names, ["---"] * len(names), *cells])


def _say(value: str | float | tuple[float, float]) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{end:+.3f}" for end in value)
    return value if isinstance(value, str) else f"{value:.3f}"


def systems_of(shops: Shops, recipe: Recipe, cache: Path) -> Iterator[System]:
    """The baselines, the views, and what a bundle decides by."""
    titles = [*shops.left, *shops.right]
    baselines = [System(f"character TF-IDF ({analyzer})", compare_ngrams(shops, analyzer)) for analyzer in ANALYZERS]
    lexical = LexicalEncoder(learn_rarity(titles)).encode(titles)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        material = material_of(shops, scratch)
        backbone = load_title_backbone(recipe.title_backbone)
        frozen = compute_title_features(backbone, material.catalogue, recipe.max_tokens, cache)
        minilm = frozen.features[frozen.rows_of(material.catalogue)]
        key = recipe.key(material.catalogue.fingerprint(), backbone.source)
        network = learn_titles(material, backbone, recipe, cache, cache / f"run-{key}")
        encoder, _ = export_titles(scratch, network, backbone, material, recipe)
        trained = np.concatenate([encoder.encode([title]) for title in titles])

    def across(vectors: Scores) -> Scores:
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(units[: len(shops.left)] @ units[len(shops.left) :].T)

    yield max(baselines, key=lambda system: valid_f1s(shops, system).max())
    yield System("MiniLM frozen", across(minilm))
    yield System("lexical", across(lexical))
    yield System("title trained", across(trained))
    mixed = [(1 - share) * across(trained) + share * across(lexical) for share in SHARES]
    chosen = int(np.argmax([balanced(rank_served(shops, "valid", System("", scores))) for scores in mixed]))
    yield System(f"title + lexical ({SHARES[chosen]:.2f})", mixed[chosen])
    read = (tuple(map(read_variants, shops.left)), tuple(map(read_variants, shops.right)))
    yield System("title + lexical, contradictions reject", mixed[chosen], read)


def compare_ngrams(shops: Shops, analyzer: str) -> Scores:
    """Cosines of n-grams of 3 to 5 characters, weighted by rarity, with the defaults of scikit-learn."""
    units = TfidfVectorizer(analyzer=analyzer, ngram_range=(3, 5)).fit_transform([*shops.left, *shops.right])
    similar = units[: len(shops.left)] @ units[len(shops.left) :].T
    return np.asarray(similar.toarray(), dtype=np.float32)


def valid_f1s(shops: Shops, system: System) -> NDArray[np.float64]:
    """The pair F1 on valid at each of THRESHOLDS."""
    return f1_pairs(sweep(rank_labelled(shops, "valid", system), THRESHOLDS))


def balanced(ranking: Ranking) -> float:
    """What the trainer chooses weights by: the best f1_mean over queries of which half have no partner."""
    counts = sweep(ranking.first(), THRESHOLDS)
    return float(((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0).max())


def measure(shops: Shops, systems: Iterable[System]) -> Iterator[Figures]:
    """Fit each system on valid, then count it on test; the first is what the others are compared with."""
    reference: tuple[Sweep, Sweep] | None = None
    for system in systems:
        valid = valid_f1s(shops, system)
        best = int(valid.argmax())
        pairs = sweep(rank_labelled(shops, "test", system), THRESHOLDS[best : best + 1])
        fitted = fit_decision(rank_served(shops, "valid", system), seed=0).thresholds[Goal.BALANCED]
        ranking = rank_served(shops, "test", system).agreeing()
        served = sweep(ranking.first(), np.array([fitted.score]))
        reference = reference or (pairs, served)
        f1s, partnered = f1_mean_others(served)[:, 0], served.truth > 0
        yield Figures(
            name=system.name,
            pair_f1_valid=float(valid[best]),
            pair_f1=float(f1_pairs(pairs)[0]),
            pair_f1_gain=bootstrap_gain(pairs, reference[0], f1_pairs),
            f1_mean_others=float(f1s.mean()),
            f1_mean_others_gain=bootstrap_gain(served, reference[1], lambda counts: f1_mean_others(counts).mean(0)),
            with_partner=float(f1s[partnered].mean()),
            false_alarms=float((served.answers[~partnered, 0] > 0).mean()),
            recall_at_1=recall_at_1(ranking),
        )


def rank_labelled(shops: Shops, part: str, system: System) -> Ranking:
    """Each left record of a part against what it is paired with there, contradictions taken out."""
    asked = np.flatnonzero(shops.labelled[part].any(1))
    return rank_across(system, asked, shops.same[part], shops.labelled[part]).agreeing()


def rank_served(shops: Shops, part: str, system: System) -> Ranking:
    """
    Each left record of a part against the right shop, but for partners that earlier parts know of.

    Of valid only those ask that have a partner: fitting counts each a second time as if it had none, and another's
    partner may be the very one that test will name.
    """
    earlier, asking = (("train",), shops.same) if part == "valid" else (("train", "valid"), shops.labelled)
    asked = np.flatnonzero(asking[part].any(1))
    return rank_across(system, asked, shops.same[part], ~shops.partners(*earlier) | shops.labelled[part])


def rank_across(system: System, asked: NDArray[np.int64], truth: Matrix, shown: Matrix) -> Ranking:
    """
    The right records of each left one that asks, falling by score.

    Args:
        asked: (n,) left records; truth, shown: (left, right), who is right and who may be answered.
    """
    scores = np.where(shown, system.scores, np.float32(-np.inf))[asked]
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    right = np.take_along_axis((truth & shown)[asked], rows, 1)
    conflict = np.zeros(rows.shape, dtype=np.bool_)
    if system.read is not None:
        left, others = system.read
        for place, query in enumerate(asked):
            conflict[place] = [bool(contradictions(left[query], others[row])) for row in rows[place]]
    return Ranking(rows, np.take_along_axis(scores, rows, 1), right, conflict, truth[asked].sum(1), asked)


def bootstrap_gain(ours: Sweep, theirs: Sweep, figure: Callable[[Sweep], NDArray[np.float64]]) -> tuple[float, float]:
    """The 95 % interval of a figure's gain, over queries that both answered, drawn anew 1,000 times."""
    rng, gains = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(ours.truth), len(ours.truth))
        gains.append(float(figure(_take(ours, drawn))[0] - figure(_take(theirs, drawn))[0]))
    low, high = np.quantile(gains, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def _take(counts: Sweep, queries: NDArray[np.int64]) -> Sweep:
    return dataclasses.replace(
        counts,
        answers=counts.answers[queries],
        hits=counts.hits[queries],
        truth=counts.truth[queries],
        groups=counts.groups[queries],
    )


if __name__ == "__main__":
    main()
