"""The table of a bundle on a catalogue: four F1s per view set at the learned threshold, with the query-only row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.catalogue import read_catalogue
from model_training.decide import THRESHOLDS
from model_training.fit import rank_view_set
from model_training.metrics import F1s, f1_mean, f1s_at, query_only, recall_at_1
from model_training.pixels import load_pixels
from model_training.posting_vectors import PostingVectors, encode_catalogue
from model_training.ranking import sweep
from model_training.seen import read_seen, refuse_seen
from service.bundle.bundle import load_bundle
from service.bundle.decision import score_needed
from service.bundle.manifest import Manifest
from service.bundle.views import Goal, view_set_key

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `threshold` and `best_f1_mean` are NaN in the query-only row."""

    name: str
    queries: int
    threshold: float
    f1s: F1s
    best_f1_mean: float
    recall_at_1: float


def evaluate(
    manifest: Manifest,
    vectors: PostingVectors,
    groups: NDArray[np.int64],
    titles: Sequence[str | None],
    queries: NDArray[np.int64],
) -> Iterator[Row]:
    """
    Answer each query at the bundle's `balanced` threshold and count.

    `best_f1_mean` is what the best threshold for these very queries would have given.

    Args:
        vectors, groups, titles: the gallery; queries: row numbers.
    """
    truth = np.bincount(groups)[groups[queries]] - 1
    yield Row("query only", len(queries), np.nan, query_only(truth), np.nan, np.nan)
    for views in vectors.view_sets():
        name = view_set_key(views)
        weights = {view: manifest.weights[view] for view in views}
        ranking = rank_view_set(vectors, groups, titles, queries, weights).agreeing().first()
        threshold = needed(manifest, name, Goal.BALANCED, len(groups))
        learned = sweep(ranking, np.array([threshold]))
        best = float(f1_mean(sweep(ranking, THRESHOLDS)).mean(0).max())
        yield Row(name, len(ranking.truth), threshold, f1s_at(learned, 0), best, recall_at_1(ranking))


def evaluate_bundle(bundle: Path, csv: Path, images: Path, cache: Path) -> list[Row]:
    """Evaluate a bundle on a whole catalogue that it has not seen: every posting queries all the others."""
    loaded = load_bundle(bundle, threads=_THREADS)
    catalogue = read_catalogue(csv, images)
    queries = np.arange(len(catalogue))
    refuse_seen(read_seen(bundle), catalogue, queries, f"the bundle {bundle.name}")
    pixels = load_pixels(catalogue, loaded.manifest.picture, cache)
    vectors = encode_catalogue(catalogue, pixels, loaded.image, loaded.title, loaded.lexical)
    return list(evaluate(loaded.manifest, vectors, catalogue.groups, catalogue.titles, queries))


def needed(manifest: Manifest, key: str, goal: Goal, gallery_size: int) -> float:
    """The threshold of a view set among so many postings."""
    return score_needed(manifest.decisions[key].thresholds[goal], manifest.gallery_size, gallery_size)


_F1S = ("f1_mean", "f1_mean_others", "f1_harmonic", "f1_pairs")
HEADER = ("views", "queries", "threshold", *_F1S, "best f1_mean", "recall@1")


def cells_of(row: Row) -> list[str]:
    """One line of the table, blank where a figure has no meaning."""
    f1s = (row.f1s.mean, row.f1s.others, row.f1s.harmonic, row.f1s.pairs)
    figures = (row.threshold, *f1s, row.best_f1_mean, row.recall_at_1)
    return [row.name, str(row.queries), *("" if np.isnan(figure) else f"{figure:.4f}" for figure in figures)]


def render_table(rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [HEADER, ["---"] * len(HEADER), *map(cells_of, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("| --- ", "|---").replace("--- |", "---|")
