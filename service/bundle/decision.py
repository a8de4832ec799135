"""From view scores to a fused score, a probability and a verdict."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from service.bundle.manifest import GoalThreshold, ViewSetDecision
from service.bundle.views import Goal, View, view_set_key

REJECTING = frozenset({Goal.PRECISION_99, Goal.BALANCED})
"""The goals at which titles that contradict each other rule a match out."""

# The line is measured over one power of ten, and followed no further than two. A smaller catalogue keeps the learned
# score: its lookalikes come in families, so it has more of them than strangers drawn by lot would give it.
_MOST_TENFOLDS = 2.0


def score_needed(learned: GoalThreshold, fitted_in: int, gallery_size: int) -> float:
    """
    The threshold in a gallery of another size than it was learned in.

    >>> score_needed(GoalThreshold(0.7, 0.6, 0.8, 99, True, per_tenfold=0.05), fitted_in=1_000, gallery_size=100_000)
    0.8
    """
    tenfolds = min(max(math.log10(max(gallery_size, 1) / fitted_in), 0.0), _MOST_TENFOLDS)
    return round(min(max(learned.score + learned.per_tenfold * tenfolds, -1.0), 1.0), 6)


class Decision:
    """
    The bundle's judgement: fusion weights, thresholds and calibration per view set. Immutable and thread-safe.

    Views are named by strings so that the index, which knows no views of ours, can pass its own through.
    """

    def __init__(
        self, weights: Mapping[View, float], decisions: Mapping[str, ViewSetDecision], gallery_size: int = 1
    ) -> None:
        """`gallery_size` is how many postings the thresholds were learned among."""
        self.weights: Mapping[str, float] = {str(view): weight for view, weight in weights.items()}
        self._decisions, self._gallery_size = decisions, gallery_size

    def fuse(self, scores: Mapping[str, float]) -> float:
        """Weighted mean of the cosines (-1..1) of the views that both sides have, at least one; rounded to 1e-6."""
        total = sum(self.weights[view] for view in scores)
        return round(sum(self.weights[view] * score for view, score in scores.items()) / total, 6)

    def threshold(self, views: Iterable[str], goal: Goal) -> GoalThreshold:
        """The learned threshold for these shared views."""
        return self._decisions[view_set_key(views)].thresholds[goal]

    def score_needed(self, views: Iterable[str], goal: Goal, gallery_size: int) -> float:
        """The fused score from which a posting counts among so many."""
        return score_needed(self.threshold(views, goal), self._gallery_size, gallery_size)

    def rejects(self, goal: Goal, conflict: Sequence[str]) -> bool:
        """Whether what contradicts in two titles (`service.bundle.variants`) rules a match out."""
        return bool(conflict) and goal in REJECTING

    def probability(self, views: Iterable[str], score: float, conflict: Sequence[str] = ()) -> float:
        """
        The calibrated chance, 0..1, rounded to 1e-6, that two postings show one product, given their fused score and
        what contradicts in their titles.
        """
        decision = self._decisions[view_set_key(views)]
        calibration = (conflict and decision.conflict_calibration) or decision.calibration
        return round(float(np.interp(score, calibration.scores, calibration.probabilities)), 6)
