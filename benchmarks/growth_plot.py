"""The plot of `benchmarks.growth`: precision and recall against the number of postings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # a server has no screen
from matplotlib import pyplot as plt

# Okabe and Ito's colours, which colour-blind readers tell apart.
LINES = {
    "precision_99": ("Kembar, precision_99", "#0072B2", "-"),
    "fused, precision .99": ("one threshold, set for\nprecision .99 at {}", "#D55E00", "-"),
    "balanced": ("Kembar, balanced", "#56B4E9", "--"),
    "fused, best F1": ("one threshold, set for\nbest F1 at {}", "#E69F00", "--"),
}


def draw_growth(
    path: Path, figures: Mapping[tuple[str, int], Mapping[str, tuple[float, float, float]]], sizes: Sequence[int]
) -> None:
    """Write the plot, SVG or PNG by the path's ending; `figures` has (value, low, high) by way of deciding and size."""
    plt.rcParams["svg.hashsalt"] = "growth"  # equal figures give equal bytes
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6))
    for axis, name in zip(axes, ("precision", "recall"), strict=True):
        ends = []
        for key, (label, colour, style) in LINES.items():
            values, low, high = zip(*(figures[key, size][name] for size in sizes), strict=True)
            axis.plot(sizes, values, style, color=colour, marker="o", markersize=4, linewidth=2)
            axis.fill_between(sizes, low, high, color=colour, alpha=0.12, linewidth=0)
            ends.append((values[-1], label.format(f"{sizes[0]:,}"), colour))
        _label(axis, sizes[-1], ends)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_title(f"{name.capitalize()} of the answers", loc="left")
        axis.set_xlabel("postings in the catalogue")
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _label(axis: plt.Axes, right: int, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name each line at its end, one below the other where they end close together."""
    bottom, top = axis.get_ylim()
    room, free = (top - bottom) / 8, top + 1
    for value, label, colour in sorted(ends, reverse=True):
        free = min(value, free - room)
        axis.annotate(label, (right, free), (8, 0), textcoords="offset points", color=colour, va="center", fontsize=9)
