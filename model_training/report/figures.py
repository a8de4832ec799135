"""The figures of the report, each as the address of a PNG."""

import numpy as np
from numpy.typing import NDArray

from model_training.decide import THRESHOLDS
from model_training.evaluate import needed
from model_training.metrics import f1_mean, f1s_at
from model_training.plots import draw_groups, inline, panels
from model_training.ranking import sweep
from model_training.report.evidence import Evidence
from service.bundle.manifest import Calibration
from service.bundle.views import Goal

_SIZES = ((2, 2), (3, 5), (6, 9), (10, 10**9))
_GALLERIES = (0.1, 0.25, 0.5, 1.0)
_BINS = 15
_CANDIDATES = 10


def threshold_curves(evidence: Evidence) -> str:
    """f1_mean, precision and recall against the threshold, with the learned ones."""
    figure, axes = panels(len(evidence.rankings))
    for axis, (key, ranking) in zip(axes[0], evidence.rankings.items(), strict=True):
        counts = sweep(ranking.agreeing().first(), THRESHOLDS)
        answers, hits = counts.answers.sum(0), counts.hits.sum(0)
        axis.plot(THRESHOLDS, f1_mean(counts).mean(0), label="f1_mean")
        axis.plot(THRESHOLDS, np.where(answers, hits / np.maximum(answers, 1), np.nan), label="precision")
        axis.plot(THRESHOLDS, hits / max(1, int(counts.truth.sum())), label="recall")
        for goal, style in zip(Goal, (":", "-", "--"), strict=True):
            learned = needed(evidence.bundle.manifest, key, goal, len(evidence.material.catalogue))
            axis.axvline(learned, color="black", linestyle=style, linewidth=1, label=goal.value)
        axis.set_title(key)
        axis.set_xlim(0, 1)
        axis.set_xlabel("fused score")
    axes[0][0].legend(fontsize=7)
    return inline(figure)


def learning(evidence: Evidence) -> str:
    """The learners' loss by epoch, on train and validation: where the two part, it overfits."""
    metrics = evidence.bundle.manifest.metrics
    names = sorted({name.partition(",")[0] for name in metrics if name.endswith("loss by epoch")})
    figure, axes = panels(max(1, len(names)))
    for axis, name in zip(axes[0], names, strict=False):
        for part, style in (("train", "-"), ("validation", "--")):
            losses = metrics[f"{name}, {part} loss by epoch"]
            axis.plot([int(epoch) for epoch in losses], list(losses.values()), style, marker=".", label=part)
        axis.set_title(f"{name}: loss by epoch")
        axis.legend(fontsize=7)
    return inline(figure)


def similarities(evidence: Evidence) -> str:
    """Cosines of postings of one product, of random strangers and of the nearest strangers, per view."""
    by_view, groups = evidence.vectors.by_view, evidence.material.catalogue.groups
    figure, axes = panels(len(by_view))
    rng, edges = np.random.default_rng(0), np.linspace(-0.4, 1, 71)
    for axis, (view, vectors) in zip(axes[0], by_view.items(), strict=True):
        rows = evidence.queries[vectors[evidence.queries].any(1)]
        there = vectors.any(1)
        scores = np.where(there, vectors[rows] @ vectors.T, np.nan)
        scores[np.arange(len(rows)), rows] = np.nan
        same = groups[rows][:, None] == groups[None]
        strangers = np.where(same, np.nan, scores)
        nearest = np.nanmax(strangers, axis=1)
        pool = strangers[np.isfinite(strangers)]
        for name, values in (
            ("one product", scores[same & np.isfinite(scores)]),
            ("random strangers", rng.choice(pool, min(len(pool), 20_000), replace=False)),
            ("nearest strangers", nearest),
        ):
            axis.hist(values, edges, density=True, alpha=0.5, label=name)
        axis.set_title(view)
        axis.set_xlabel("cosine")
    axes[0][0].legend(fontsize=7)
    return inline(figure)


def recall_at_k(evidence: Evidence) -> str:
    """Share of all right postings that stand among the nearest k."""
    figure, axes = panels(1, width=6)
    for key, ranking in evidence.rankings.items():
        first = ranking.first()
        found = np.cumsum(first.right[first.truth > 0], axis=1) / first.truth[first.truth > 0, None]
        axes[0][0].plot(np.arange(1, found.shape[1] + 1), found.mean(0), label=key)
    axes[0][0].set_xlabel("k")
    axes[0][0].set_ylabel("recall@k")
    axes[0][0].legend(fontsize=7)
    return inline(figure)


def by_size(evidence: Evidence) -> str:
    """f1_mean at the learned `balanced` threshold by group size, and by share of the gallery, beside the best."""
    key, ranking = list(evidence.rankings.items())[-1]
    manifest, size = evidence.bundle.manifest, len(evidence.material.catalogue)
    threshold = np.array([needed(manifest, key, Goal.BALANCED, size)])
    figure, axes = panels(2, width=5)
    counts = sweep(ranking.agreeing().first(), threshold)
    sizes, names, figures = ranking.truth + 1, [], []
    for low, high in _SIZES:
        if (chosen := (sizes >= low) & (sizes <= high)).any():
            names.append(f"of {low}" if low == high else f"of {low}+" if high > 1000 else f"of {low}-{high}")
            figures.append(float(f1_mean(counts)[chosen].mean()))
    axes[0][0].bar(names, figures)
    axes[0][0].set_title(f"{key}: f1_mean by group size")
    learned, best = [], []
    for share in _GALLERIES:
        part = ranking.thinned(share, 0).agreeing().first()
        moved = np.array([needed(manifest, key, Goal.BALANCED, round(size * share))])
        learned.append(f1s_at(sweep(part, moved), 0).mean)
        best.append(float(f1_mean(sweep(part, THRESHOLDS)).mean(0).max()))
    axes[0][1].plot([size * share for share in _GALLERIES], learned, marker="o", label="learned threshold")
    axes[0][1].plot([size * share for share in _GALLERIES], best, marker="o", linestyle="--", label="best threshold")
    axes[0][1].set_title("f1_mean by gallery size")
    axes[0][1].legend(fontsize=7)
    return inline(figure)


def calibration(evidence: Evidence) -> tuple[str, dict[str, tuple[float, float]]]:
    """Probability against the observed share over the ten nearest candidates; by view set also ECE and Brier score."""
    figure, axes = panels(len(evidence.rankings))
    scores = {}
    for axis, (key, ranking) in zip(axes[0], evidence.rankings.items(), strict=True):
        decision, nearest = evidence.bundle.manifest.decisions[key], ranking.nearest(_CANDIDATES)
        said = _probability(nearest.scores, decision.calibration)
        if decision.conflict_calibration is not None:
            said = np.where(nearest.conflict, _probability(nearest.scores, decision.conflict_calibration), said)
        there = np.isfinite(nearest.scores)
        said, right = said[there], nearest.right[there]
        # A right candidate is met by one of a query's two versions, a wrong one by both: see `decide`.
        weight = np.where(right, 1.0, 2.0)
        ece, points = 0.0, []
        for part in np.array_split(np.argsort(said, kind="stable"), _BINS):
            mean = float(np.average(said[part], weights=weight[part]))
            share = float(np.average(right[part], weights=weight[part]))
            ece += abs(mean - share) * float(weight[part].sum() / weight.sum())
            points.append((mean, share))
        axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
        axis.plot(*zip(*points, strict=True), marker="o")
        axis.set_title(f"{key}: ECE {ece:.3f}")
        axis.set_xlabel("probability")
        scores[key] = ece, float(np.average((said - right) ** 2, weights=weight))
    axes[0][0].set_ylabel("observed")
    return inline(figure), scores


def _probability(scores: NDArray[np.float32], fitted: Calibration) -> NDArray[np.float64]:
    return np.asarray(np.interp(scores, fitted.scores, fitted.probabilities))


def groups_apart(evidence: Evidence) -> str:
    """t-SNE of the ten largest groups among the queries, by all views."""
    views = frozenset(evidence.vectors.by_view)
    rows = evidence.queries[np.isin(evidence.queries, evidence.vectors.having(views))]
    groups = evidence.material.catalogue.groups[rows]
    numbers, sizes = np.unique(groups, return_counts=True)
    chosen = np.isin(groups, numbers[np.argsort(-sizes, kind="stable")[:10]])
    figure, axes = panels(1, width=6, height=5)
    vectors = evidence.vectors.fuse(rows[chosen], evidence.weights(views))
    draw_groups(axes[0][0], vectors, groups[chosen].astype(np.float32), "ten groups, all views")
    return inline(figure)
