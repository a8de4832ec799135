"""Drawing on files only: a server has no screen."""

import base64
import io
from html import escape
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["Axes", "Figure", "draw_groups", "inline", "panels", "save"]


def panels(
    columns: int, *, rows: int = 1, width: float = 4.4, height: float = 3.4
) -> tuple[Figure, NDArray[np.object_]]:
    """A figure of (rows, columns) axes."""
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file."""
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def inline(figure: Figure) -> str:
    """The figure as an HTML image that holds its own drawing (SVG: sharp on every screen)."""
    buffer = io.BytesIO()
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    drawing = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="plot" alt="{escape(figure.axes[0].get_title())}" src="data:image/svg+xml;base64,{drawing}">'


def draw_groups(axis: Axes, vectors: NDArray[np.float32], groups: NDArray[np.float32], caption: str) -> None:
    """t-SNE of (n, d) vectors, one colour a group."""
    points = TSNE(perplexity=min(15, len(vectors) - 1), random_state=0, init="pca").fit_transform(vectors)
    for number, group in enumerate(np.unique(groups)):
        own = points[groups == group]
        axis.scatter(own[:, 0], own[:, 1], s=22, color=f"C{number % 10}")
    axis.set_title(caption)
    axis.set_xticks([])
    axis.set_yticks([])
