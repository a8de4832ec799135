"""From view scores to a fused score, a probability and a verdict."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.bundle.manifest import GoalThreshold, ViewSetDecision
from service.bundle.views import Goal, View, view_set_key

REJECTING = frozenset({Goal.PRECISION_99, Goal.BALANCED})
"""The goals at which titles that contradict each other rule a match out."""


class Decision:
    """
    The bundle's judgement: fusion weights, thresholds and calibration per view set. Immutable and thread-safe.

    Views are named by strings so that the index, which knows no views of ours, can pass its own through.
    """

    def __init__(self, weights: Mapping[View, float], decisions: Mapping[str, ViewSetDecision]) -> None:
        self.weights: Mapping[str, float] = {str(view): weight for view, weight in weights.items()}
        self._decisions = decisions

    def fuse(self, scores: Mapping[str, float]) -> float:
        """Weighted mean of the cosines (-1..1) of the views that both sides have, at least one; rounded to 1e-6."""
        total = sum(self.weights[view] for view in scores)
        return round(sum(self.weights[view] * score for view, score in scores.items()) / total, 6)

    def threshold(self, views: Mapping[str, float] | frozenset[str], goal: Goal) -> GoalThreshold:
        """The learned threshold for these shared views."""
        return self._decisions[view_set_key(views)].thresholds[goal]

    def rejects(self, goal: Goal, conflict: Sequence[str]) -> bool:
        """Whether what contradicts in two titles (`service.bundle.variants`) rules a match out."""
        return bool(conflict) and goal in REJECTING

    def probability(
        self, views: Mapping[str, float] | frozenset[str], score: float, conflict: Sequence[str] = ()
    ) -> float:
        """
        The calibrated chance, 0..1, rounded to 1e-6, that two postings show one product, given their fused score and
        what contradicts in their titles.
        """
        decision = self._decisions[view_set_key(views)]
        calibration = (conflict and decision.conflict_calibration) or decision.calibration
        return round(float(np.interp(score, calibration.scores, calibration.probabilities)), 6)
