"""The figures of the report, one panel each: a page sets them side by side or below each other."""

from collections.abc import Iterator, Sequence

import numpy as np

from model_training.decide import THRESHOLDS
from model_training.metrics import f1_mean, reliability
from model_training.plots import Axes, Figure, draw_groups, panels
from model_training.ranking import sweep
from model_training.report.evidence import Evidence
from model_training.report.quality import candidates
from service.bundle.views import Goal


def _panel(title: str, x: str) -> tuple[Figure, Axes]:
    figure, axes = panels(1)
    axis: Axes = axes[0][0]
    axis.set_title(title)
    axis.set_xlabel(x)
    return figure, axis


def threshold_curves(evidence: Evidence) -> Iterator[Figure]:
    """f1_mean, precision and recall against the threshold, with the learned ones."""
    for key, ranking in evidence.rankings.items():
        figure, axis = _panel(key, "fused score")
        counts = sweep(ranking.agreeing().first(), THRESHOLDS)
        answers, hits = counts.answers.sum(0), counts.hits.sum(0)
        axis.plot(THRESHOLDS, f1_mean(counts).mean(0), label="f1_mean")
        axis.plot(THRESHOLDS, np.where(answers, hits / np.maximum(answers, 1), np.nan), label="precision")
        axis.plot(THRESHOLDS, hits / max(1, int(counts.truth.sum())), label="recall")
        for goal, style in zip(Goal, (":", "-", "--"), strict=True):
            axis.axvline(evidence.threshold(key, goal), color="black", linestyle=style, linewidth=1, label=goal.value)
        axis.set_xlim(0, 1)
        yield figure


def learning(evidence: Evidence) -> Iterator[Figure]:
    """The learners' loss by epoch, on train and validation: where the two part, it overfits."""
    metrics = evidence.bundle.manifest.metrics
    for name in sorted({name.partition(",")[0] for name in metrics if name.endswith("loss by epoch")}):
        figure, axis = _panel(f"{name}: loss", "epoch")
        for part, style in (("train", "-"), ("validation", "--")):
            losses = metrics[f"{name}, {part} loss by epoch"]
            axis.plot([int(epoch) for epoch in losses], list(losses.values()), style, marker=".", label=part)
        yield figure


def similarities(evidence: Evidence) -> Iterator[Figure]:
    """Cosines of postings of one product, of random strangers and of the nearest strangers, per view."""
    groups, rng, edges = evidence.material.catalogue.groups, np.random.default_rng(0), np.linspace(-0.4, 1, 71).tolist()
    for view, vectors in evidence.vectors.by_view.items():
        figure, axis = _panel(view, "cosine")
        rows, there = evidence.queries[vectors[evidence.queries].any(1)], vectors.any(1)
        scores = np.where(there, vectors[rows] @ vectors.T, np.nan)
        scores[np.arange(len(rows)), rows] = np.nan
        same = groups[rows][:, None] == groups[None]
        strangers = np.where(same, np.nan, scores)
        pool = strangers[np.isfinite(strangers)]
        for name, values in (
            ("one product", scores[same & np.isfinite(scores)]),
            ("random strangers", rng.choice(pool, min(len(pool), 20_000), replace=False)),
            ("nearest strangers", np.nanmax(strangers, axis=1)),
        ):
            axis.hist(values, edges, density=True, alpha=0.5, label=name)
        yield figure


def gallery_curves(rows: Sequence[tuple[str, int, float, float, float, float, float]]) -> Iterator[Figure]:
    """Threshold and f1_mean as the gallery grows: what the bundle takes, dashed what would have been best."""
    for title, learned in (("balanced threshold", 2), ("f1_mean", 4)):
        figure, axis = _panel(f"{title} by gallery", "postings in the gallery")
        for number, key in enumerate(dict.fromkeys(row[0] for row in rows)):
            own = np.array([row[1:] for row in rows if row[0] == key])
            axis.plot(own[:, 0], own[:, learned - 1], marker="o", color=f"C{number}", label=key)
            axis.plot(own[:, 0], own[:, learned], marker="o", color=f"C{number}", linestyle="--")
            axis.set_xscale("log")
            axis.set_xticks(own[:, 0], [f"{size:,.0f}" for size in own[:, 0]])
        axis.minorticks_off()
        yield figure


def calibration(evidence: Evidence) -> Iterator[Figure]:
    """Probability against the observed share, over the ten nearest candidates of each query."""
    for key in evidence.rankings:
        points, ece, _ = reliability(*candidates(evidence, key))
        figure, axis = _panel(f"{key}: ECE {ece:.3f}", "probability said")
        axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
        axis.plot(*zip(*points, strict=True), marker="o")
        axis.set_ylabel("share that is right")
        yield figure


def groups_apart(evidence: Evidence) -> Iterator[Figure]:
    """t-SNE of the ten largest groups among the queries, by all views."""
    key = list(evidence.rankings)[-1]
    rows, groups = evidence.asked(key), evidence.material.catalogue.groups
    numbers, sizes = np.unique(groups[rows], return_counts=True)
    chosen = rows[np.isin(groups[rows], numbers[np.argsort(-sizes, kind="stable")[:10]])]
    figure, axis = _panel("", "")
    vectors = evidence.vectors.fuse(chosen, evidence.weights(frozenset(evidence.vectors.by_view)))
    draw_groups(axis, vectors, groups[chosen].astype(np.float32), "ten groups, all views")
    yield figure
