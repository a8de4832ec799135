"""The plot of `benchmarks.growth`: precision and recall against the number of postings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from benchmarks.growth_figures import Bounds, Key

matplotlib.use("Agg")  # a server has no screen
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Okabe and Ito's colours, which colour-blind readers tell apart.
LINES = {
    "precision_99": ("Kembar precision_99", "#0072B2", "-"),
    "balanced": ("Kembar balanced", "#0072B2", (0, (3, 1.5))),
    "fused, precision .99": ("one threshold, .99", "#D55E00", "-"),
    "fused, best F1": ("one threshold, best F1", "#D55E00", (0, (3, 1.5))),
}
CAPTION = (
    "One threshold: one score_threshold on the same vectors, chosen at {:,} postings for precision .99 or best F1, and "
    "kept.\nPrecision: right answers / answers, summed over all queries; recall: mean over the queries with "
    "partners; bands: 95 %."
)


def draw_growth(path: Path, bounds: Mapping[Key, Mapping[str, Bounds]], sizes: Sequence[int]) -> None:
    """Write the plot, SVG or PNG by the path's ending; `bounds` by who decides and size, `sizes` rising."""
    plt.rcParams["svg.hashsalt"] = "growth"  # equal figures give equal bytes
    figure, axes = plt.subplots(1, 2, figsize=(9.8, 4), layout="constrained")
    for axis, name in zip(axes, ("precision", "recall"), strict=True):
        for key, (_, colour, style) in LINES.items():
            values, low, high = zip(*(bounds[key, size][name] for size in sizes), strict=True)
            axis.plot(sizes, values, color=colour, linestyle=style, marker="o", markersize=4, linewidth=2)
            axis.fill_between(sizes, low, high, color=colour, alpha=0.1, linewidth=0)
        axis.set(xscale="log", title=f"{name.capitalize()} of the answers", xlabel="postings in the catalogue")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        _name_lines(axis, sizes[-1], {key: bounds[key, sizes[-1]][name][0] for key in LINES})
    figure.supxlabel(CAPTION.format(sizes[0]), fontsize=8, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _name_lines(axis: Axes, right: int, ends: Mapping[str, float]) -> None:
    """Each line's name at its end; where they end close together, one below the other."""
    bottom, top = axis.get_ylim()
    free = float("inf")
    for key, end in sorted(ends.items(), key=lambda item: -item[1]):
        free = min(end, free - (top - bottom) / 13)
        label, colour, _ = LINES[key]
        place = {"xytext": (8, 0), "textcoords": "offset points", "annotation_clip": False}
        axis.annotate(label, (right, free), color=colour, va="center", fontsize=9, **place)
