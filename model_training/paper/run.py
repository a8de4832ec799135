"""Run cells: each is trained, searched with and written down once, so that a broken-off grid goes on."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.neighbors import NearestNeighbors
from tqdm import tqdm

from model_training.decide import THRESHOLDS
from model_training.metrics import F1s, f1_harmonic, f1s_at, recall_at_1
from model_training.paper.cell import Cell, Network
from model_training.paper.study import Study
from model_training.paper.train_cell import Epoch, Trainee, train_cell
from model_training.ranking import ANSWERS, rank, sweep

GROUPS_DRAWN = 10


@dataclass(frozen=True, slots=True)
class Searched:
    """Nearest neighbours at the threshold whose harmonic F1 was best on train, carried to validation."""

    threshold: float
    validation: F1s
    best_validation: float
    recall_at_1: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a cell came to; `epochs` begins untrained, `searched` is None for the classifier of pairs."""

    cell: Cell
    epochs: tuple[Epoch, ...]
    searched: Searched | None
    seconds: float


_RESULT = TypeAdapter(Result)


def run_cells(study: Study, cells: Sequence[Cell], out: Path) -> list[Result]:
    """Run what has not been run yet; results lie in `out`, one JSON a cell."""
    out.mkdir(parents=True, exist_ok=True)
    return [_recall_or_run(study, cell, out) for cell in tqdm(cells, desc="cells", unit="cell", disable=None)]


def drawn_vectors(study: Study, cell: Cell, out: Path) -> Mapping[str, NDArray[np.float32]]:
    """Of a cell that was run, the vectors of ten groups of each part: `train`, `validation` and their `…_groups`."""
    with np.load(_path(study, cell, out, ".npz")) as saved:
        return dict(saved)


def _recall_or_run(study: Study, cell: Cell, out: Path) -> Result:
    path = _path(study, cell, out, ".json")
    if path.exists():
        return _RESULT.validate_json(path.read_bytes())
    started = time.monotonic()
    trainee = Trainee(study, cell)
    epochs = tuple(train_cell(trainee))
    searched = None if cell.network is Network.PAIRS else _search(trainee)
    if searched is not None:
        arrays = _draw_groups(trainee)
        np.savez_compressed(_path(study, cell, out, ".npz"), allow_pickle=False, **arrays)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(_RESULT.dump_json(Result(cell, epochs, searched, time.monotonic() - started), indent=1))
    os.replace(fresh, path)
    return _RESULT.validate_json(path.read_bytes())


def _path(study: Study, cell: Cell, out: Path, suffix: str) -> Path:
    return out / (cell.key(json.dumps(dict(study.provenance), sort_keys=True)) + suffix)


def _search(trainee: Trainee) -> Searched:
    study = trainee.study
    rankings = [
        rank(trainee.vectors(part), study.groups[part], np.arange(len(part)))
        for part in (study.train, study.validation)
    ]
    train, validation = (sweep(ranking, THRESHOLDS) for ranking in rankings)
    column = int(np.argmax(f1_harmonic(train)))
    return Searched(
        threshold=float(THRESHOLDS[column]),
        validation=f1s_at(validation, column),
        best_validation=float(f1_harmonic(validation).max()),
        recall_at_1=recall_at_1(rankings[1]),
    )


def neighbours_agree(vectors: NDArray[np.float32]) -> bool:
    """Whether FAISS and scikit-learn find the same 50 nearest neighbours, ties in cosine (to 1e-5) aside."""
    depth = min(ANSWERS, len(vectors))
    found, _ = faiss.knn(vectors, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    distances, _ = (
        NearestNeighbors(n_neighbors=depth, metric="cosine", algorithm="brute").fit(vectors).kneighbors(vectors)
    )
    return bool(np.allclose(found, 1 - distances, atol=1e-5))


def _draw_groups(trainee: Trainee) -> dict[str, NDArray[np.float32]]:
    """The vectors of ten groups of each part, drawn from those with at least four postings where there are ten."""
    study, drawn = trainee.study, {}
    for name, part in (("train", study.train), ("validation", study.validation)):
        groups = study.groups[part]
        numbers, sizes = np.unique(groups, return_counts=True)
        order = np.random.default_rng(0).permutation(len(numbers))
        chosen = numbers[order[np.argsort(sizes[order] < 4, kind="stable")][:GROUPS_DRAWN]]
        rows = part[np.isin(groups, chosen)]
        drawn[name], drawn[f"{name}_groups"] = trainee.vectors(rows), study.groups[rows].astype(np.float32)
    return drawn
