"""The paper's tables 2, 3 and 4 as Markdown, and those of the studies beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from model_training.metrics import F1s, query_only
from model_training.paper.cell import BOTH, Cell, Negatives, Network
from model_training.paper.run import Result
from model_training.paper.study import Study
from service.bundle.views import view_set_key

_F1S = ("f1_mean", "f1_mean_others", "f1_harmonic", "f1_pairs")


def pair_table(results: Sequence[Result], network: Network) -> str:
    """Tables 2 and 3: precision, recall and F1 over validation pairs, by views, margin and negatives."""
    rows = [
        (view_set_key(cell.views), *([f"{cell.margin:g}"] if network is Network.EMBEDDING else []), cell.num_neg,
         last.validation.precision, last.validation.recall, last.validation.f1, last.train.f1)
        for cell, last in ((result.cell, result.epochs[-1]) for result in results if _is_plain(result.cell, network))
    ]  # fmt: skip
    margin = ["margin"] if network is Network.EMBEDDING else []
    return _markdown(["views", *margin, "negatives", "precision", "recall", "F1", "F1 on train"], rows)


def search_table(study: Study, results: Iterable[Result]) -> str:
    """The four F1s of nearest neighbours, the threshold swept on train and carried to validation."""
    truth = np.bincount(study.groups)[study.groups[study.validation]] - 1
    rows: list[tuple[object, ...]] = [("query only", "", *_four(query_only(truth)), "", "")]
    rows += [
        (result.cell.name, found.threshold, *_four(found.validation), found.best_validation, found.recall_at_1)
        for result in results
        if (found := result.searched)
    ]
    return _markdown(["cell", "threshold", *_F1S, "best f1_harmonic", "recall@1"], rows)


def plain(results: Iterable[Result]) -> list[Result]:
    """Those of table 4: the frozen features, and network B as the paper trains it."""
    return [
        result
        for result in results
        if _is_plain(result.cell, Network.EMBEDDING) or result.cell.network is Network.FROZEN
    ]


def hardest_beside_random(results: Iterable[Result]) -> list[Result]:
    """Those trained on the hardest strangers, each after its twin that was trained on random ones."""
    by_cell = {result.cell: result for result in results}
    hard = [cell for cell in by_cell if cell.negatives is Negatives.HARDEST]
    return [by_cell[twin] for cell in hard for twin in (replace(cell, negatives=Negatives.RANDOM), cell)]


def rate_table(results: Sequence[Result]) -> str:
    """Learning rate against batch: the train loss epoch by epoch shows where it is not stable."""
    chosen = [
        result
        for result in results
        if replace(result.cell, learning_rate=0.001, batch_size=128)
        == Cell(Network.EMBEDDING, BOTH, epochs=result.cell.epochs)
    ]
    rows = []
    for result in sorted(chosen, key=lambda one: (-one.cell.learning_rate, -one.cell.batch_size)):
        losses = " ".join(f"{epoch.train.loss:.4f}" for epoch in result.epochs)
        last = result.epochs[-1].validation
        rows.append((f"{result.cell.learning_rate:g}", result.cell.batch_size, losses, last.loss, last.f1))
    header = ["rate", "batch", "train loss by epoch, untrained first", "validation loss", "validation F1"]
    return _markdown(header, rows)


def loss_table(results: Sequence[Result]) -> str:
    """Four losses on Kembar's learner: mean and standard deviation over seeds."""
    figures: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for result in results:
        if result.cell.network is Network.KEMBAR and (found := result.searched):
            key = view_set_key(result.cell.views), result.cell.loss.value, f"{result.cell.learning_rate:g}"
            figures.setdefault(key, []).append((*_four(found.validation), found.best_validation, found.recall_at_1))
    rows = []
    for key, runs in figures.items():
        spread = zip(np.mean(runs, axis=0), np.std(runs, axis=0), strict=True)
        rows.append((*key, len(runs), *(f"{mean:.4f} ± {deviation:.4f}" for mean, deviation in spread)))
    return _markdown(["views", "loss", "rate", "seeds", *_F1S, "best f1_harmonic", "recall@1"], rows)


def _is_plain(cell: Cell, network: Network) -> bool:
    """Whether it is of the paper's grid proper: its schedule, random strangers."""
    return cell == Cell(network, cell.views, margin=cell.margin, num_neg=cell.num_neg, epochs=cell.epochs)


def _four(f1s: F1s) -> tuple[float, float, float, float]:
    return f1s.mean, f1s.others, f1s.harmonic, f1s.pairs


def _markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += [
        "| " + " | ".join(f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row) + " |"
        for row in rows
    ]
    return "\n".join(lines)
