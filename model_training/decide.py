"""Learn the decision: thresholds for the three goals and the calibration of one set of shared views."""

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from model_training.errors import UnusableCatalogue
from model_training.metrics import f1_mean, f1_mean_alone
from model_training.ranking import Ranking, Sweep, sweep
from service.bundle.decision import REJECTING
from service.bundle.manifest import Calibration, GoalThreshold, ViewSetDecision
from service.bundle.views import Goal

THRESHOLDS = np.round(np.arange(-1, 1.0001, 0.0025), 4)
_RESAMPLES = 1000
_LEAST_GROUPS = 30
_LEAST_HITS = 50
_CANDIDATES = 10  # the calibration looks at so many nearest postings of each query
_KNOT_WEIGHT = 20.0  # isotonic steps that rest on less are merged into their neighbours
_CROWDING = 0.5  # a catalogue ten times as large holds the square root of ten times as many lookalikes of a posting
_SHARES, _THINNINGS = (1.0, 0.5, 0.25, 0.125), 5
_TARGETS = {Goal.PRECISION_99: 0.99, Goal.RECALL_90: 0.90}


def fit_decision(ranking: Ranking, *, seed: int) -> ViewSetDecision:
    """
    Fit thresholds and calibration on validation queries.

    Each query counts twice with equal weight: as it is, and as a singleton whose product has no other posting, so that
    half of the queries have no right answer (DESIGN.md section 4). Goals that reject contradicting titles are fitted on
    what is left without them. The interval of a threshold is a bootstrap over groups, 1,000 resamples; how it rises
    with the gallery is the slope over galleries thinned down to an eighth, see `_slope`.
    """
    everything = _GroupTables(sweep(ranking.first(), THRESHOLDS))
    agreeing = _GroupTables(sweep(ranking.agreeing().first(), THRESHOLDS))
    rng = np.random.default_rng(seed)
    groups = everything.groups
    ones = np.ones((1, groups))
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=_RESAMPLES).astype(float)
    thresholds = {}
    for goal in Goal:
        tables = agreeing if goal in REJECTING else everything
        (column,) = tables.choose(goal, ones)
        low, high = np.quantile(THRESHOLDS[tables.choose(goal, draws)], [0.025, 0.975])
        is_supported = tables.supports(goal, int(column))
        thresholds[goal] = GoalThreshold(
            score=float(THRESHOLDS[column]),
            low=float(low),
            high=float(high),
            groups=tables.groups,
            supported=is_supported,
            per_tenfold=_slope(ranking, goal) if is_supported else 0.0,
        )
    nearest = ranking.nearest(_CANDIDATES)
    agreed = _calibrate(nearest, ~nearest.conflict)
    if agreed is None:
        raise UnusableCatalogue("expected validation postings whose titles do not all contradict each other")
    return ViewSetDecision(thresholds, agreed, _calibrate(nearest, nearest.conflict))


def _slope(ranking: Ranking, goal: Goal) -> float:
    """
    How much the threshold rises in a gallery ten times as large; never below 0.

    Thinning by lot takes a posting's lookalikes out with all the others. They come in families, of which a larger
    catalogue has more rather than larger ones: see _CROWDING (docs/decisions/0008).
    """
    sizes, scores = [], []
    for share in _SHARES:
        for seed in range(_THINNINGS):
            thinned = ranking.thinned(share, seed)
            tables = _GroupTables(sweep((thinned.agreeing() if goal in REJECTING else thinned).first(), THRESHOLDS))
            (column,) = tables.choose(goal, np.ones((1, tables.groups)))
            sizes.append(np.log10(share))
            scores.append(THRESHOLDS[column])
    return round(min(max(_CROWDING * float(np.polyfit(sizes, scores, 1)[0]), 0.0), 1.0), 4)


class _GroupTables:
    """Sums per group and threshold, so that a bootstrap resample is one product of matrices."""

    def __init__(self, counts: Sweep) -> None:
        numbers, index = np.unique(counts.groups, return_inverse=True)
        self.groups = len(numbers)
        paired = counts.truth > 0

        def per_group(values: NDArray[np.float64]) -> NDArray[np.float64]:
            table = np.zeros((self.groups, len(counts.thresholds)))
            np.add.at(table, index, values)
            return table

        partners = np.maximum(counts.truth, 1)[:, None]
        self._f1 = per_group((f1_mean(counts) + f1_mean_alone(counts)) / 2)
        # By partners, so that a product of 20 postings, which answer each other easily, counts no more than one of two.
        self._hits = per_group(counts.hits / partners)
        self._answers = per_group((counts.answers + counts.alone) / partners)
        self._recall = per_group(counts.hits / partners * paired[:, None])
        self._paired = np.bincount(index, weights=paired, minlength=self.groups)

    def choose(self, goal: Goal, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """
        The column of the best threshold for a goal under each weighting of the groups.

        balanced: best f1_mean. precision_99: the lowest threshold from which on precision holds, each query counted
        alike. recall_90: the highest threshold at which recall holds.

        Args:
            weights: (r, groups).

        Returns:
            (r,) column numbers.
        """
        if goal is Goal.BALANCED:
            return np.asarray(np.argmax(weights @ self._f1, axis=1))
        good = self.reaches(goal, weights)
        if goal is Goal.PRECISION_99:
            holds = np.logical_and.accumulate(good[:, ::-1], axis=1)[:, ::-1]
            return np.asarray(np.where(holds.any(1), holds.argmax(1), good.shape[1] - 1))
        return np.asarray(np.where(good.any(1), good.shape[1] - 1 - good[:, ::-1].argmax(1), 0))

    def reaches(self, goal: Goal, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(r, thresholds) True where the goal is met; nothing answered counts as precise."""
        if goal is Goal.BALANCED:
            return np.ones((len(weights), self._f1.shape[1]), dtype=np.bool_)
        if goal is Goal.PRECISION_99:
            answers = weights @ self._answers
            return weights @ self._hits >= _TARGETS[goal] * answers
        return weights @ self._recall >= _TARGETS[goal] * (weights @ self._paired)[:, None]

    def supports(self, goal: Goal, column: int) -> bool:
        """Whether the data carry the goal at this threshold: met, with groups and right answers enough to say so."""
        met = self.reaches(goal, np.ones((1, self.groups)))[0, column]
        return bool(met and self.groups >= _LEAST_GROUPS and self._hits[:, column].sum() >= _LEAST_HITS)


def _calibrate(nearest: Ranking, chosen: NDArray[np.bool_]) -> Calibration | None:
    """
    Isotonic regression of "same product" on the score, over the chosen candidates of each query; None without any.

    A right candidate is met by one of a query's two versions, a wrong one by both: weights 1 and 2.
    """
    there = np.isfinite(nearest.scores) & chosen
    if not there.any():
        return None
    scores, right = nearest.scores[there].astype(np.float64), nearest.right[there]
    fit = IsotonicRegression(y_min=0, y_max=1).fit(scores, right, sample_weight=np.where(right, 1.0, 2.0))
    levels = fit.predict(scores)
    knots: list[tuple[float, float, float]] = []  # mean score, probability, weight of each step
    for level in np.unique(levels):
        step = levels == level
        weight = float(np.where(right[step], 1, 2).sum())
        score, probability = float(scores[step].mean()), float(level)
        if knots and (knots[-1][2] < _KNOT_WEIGHT or weight < _KNOT_WEIGHT):
            score, probability, weight = _merge(knots.pop(), (score, probability, weight))
        knots.append((score, probability, weight))
    return Calibration(
        scores=tuple(round(score, 6) for score, _, _ in knots),
        probabilities=tuple(round(probability, 6) for _, probability, _ in knots),
    )


def _merge(left: tuple[float, float, float], right: tuple[float, float, float]) -> tuple[float, float, float]:
    weight = left[2] + right[2]
    score, probability = ((a * left[2] + b * right[2]) / weight for a, b in zip(left[:2], right[:2], strict=True))
    return score, probability, weight
