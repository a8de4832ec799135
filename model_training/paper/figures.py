"""The paper's figures 2 to 5 as PNG files: learning curves, and t-SNE of ten groups."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.paper.cell import BOTH, MARGINS, VIEWS, Cell, Network
from model_training.paper.run import Result, drawn_vectors
from model_training.paper.study import Study
from model_training.plots import Axes, draw_groups, panels, save
from service.bundle.views import view_set_key

Panel = tuple[str, Mapping[str, NDArray[np.float32]], str]  # caption, vectors of ten groups, which part


def draw_figures(study: Study, results: Sequence[Result], cells: Path, out: Path) -> dict[str, str]:
    """Write the figures; returns file names with their captions."""
    epochs = max(len(result.epochs) for result in results) - 1
    frozen = drawn_vectors(study, Cell(Network.FROZEN, BOTH, epochs=0), cells)
    trained = {
        margin: drawn_vectors(study, Cell(Network.EMBEDDING, BOTH, margin=margin, num_neg=10, epochs=epochs), cells)
        for margin in MARGINS
    }
    _draw_curves([result for result in results if _is_curve(result.cell)], out / "figure_2.png")
    for name, vectors in (("figure_3.png", frozen), ("figure_4.png", trained[0.5])):
        _draw_panels([(part, vectors, part) for part in ("train", "validation")], out / name)
    by_margin = [(f"margin {margin:g}", vectors, "validation") for margin, vectors in trained.items()]
    _draw_panels(by_margin, out / "figure_5.png")
    return {
        "figure_2.png": "Learning curves of network B by view (margin 0.5, one negative); where the lines part, it "
        "overfits.",
        "figure_3.png": "t-SNE of ten groups before training: frozen features of both views, concatenated.",
        "figure_4.png": "The same groups after training: network B, both views, margin 0.5, ten negatives.",
        "figure_5.png": "Ten validation groups by margin: network B, both views, ten negatives.",
    }


def _is_curve(cell: Cell) -> bool:
    return cell in {Cell(Network.EMBEDDING, views, epochs=cell.epochs) for views in VIEWS}


def _draw_curves(results: Sequence[Result], path: Path) -> None:
    figure, axes = panels(len(results), rows=2)
    for column, result in enumerate(results):
        train = np.array([(epoch.train.loss, epoch.train.f1) for epoch in result.epochs])
        validation = np.array([(epoch.validation.loss, epoch.validation.f1) for epoch in result.epochs])
        for row, name in enumerate(("loss", "pair F1")):
            axis: Axes = axes[row][column]
            axis.plot(train[:, row], label="train")
            axis.plot(validation[:, row], label="validation", linestyle="--")
            axis.set_title(f"{view_set_key(result.cell.views)}: {name}")
        axes[1][column].set_xlabel("epoch")
    axes[0][0].legend()
    save(figure, path)


def _draw_panels(drawn: Sequence[Panel], path: Path) -> None:
    figure, axes = panels(len(drawn), height=4.4)
    for axis, (caption, vectors, part) in zip(axes[0], drawn, strict=True):
        draw_groups(axis, vectors[part], vectors[f"{part}_groups"], caption)
    save(figure, path)
