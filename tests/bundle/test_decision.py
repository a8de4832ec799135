"""The bundle's judgement of a pair."""

import pytest

from service.bundle.decision import Decision
from service.bundle.manifest import Calibration, GoalThreshold, ViewSetDecision
from service.bundle.views import Goal, View

LEARNED = GoalThreshold(0.7, 0.6, 0.8, 99, True, per_tenfold=0.05)
PLAIN, CONFLICTING = Calibration((0.0, 1.0), (0.0, 1.0)), Calibration((0.0, 1.0), (0.0, 0.1))


@pytest.mark.parametrize(("conflict", "expected"), [((), 0.8), (("2 kg / 1 kg",), 0.08)])
def test_contradicting_titles_have_a_calibration_of_their_own(conflict: tuple[str, ...], expected: float) -> None:
    """The same score is another probability where the titles contradict each other; without one, the usual."""
    told = ViewSetDecision(dict.fromkeys(Goal, LEARNED), PLAIN, CONFLICTING)
    untold = ViewSetDecision(dict.fromkeys(Goal, LEARNED), PLAIN)
    weights = {View.TITLE: 1.0}
    assert Decision(weights, {"title": told}).probability({"title": 0.8}, 0.8, conflict) == expected
    assert Decision(weights, {"title": untold}).probability({"title": 0.8}, 0.8, conflict) == 0.8


@pytest.mark.parametrize(("size", "needed"), [(1_000, 0.7), (10_000, 0.75), (10**9, 0.8), (500, 0.7), (1, 0.7)])
def test_the_score_needed_follows_the_gallery(size: int, needed: float) -> None:
    """By the slope for each tenfold, two at most, and never down."""
    decision = Decision({View.TITLE: 1.0}, {"title": ViewSetDecision(dict.fromkeys(Goal, LEARNED), PLAIN)}, 1_000)
    assert decision.score_needed(frozenset({"title"}), Goal.BALANCED, size) == pytest.approx(needed, abs=1e-5)
