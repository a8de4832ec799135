"""Learned thresholds and calibration against exhaustive search."""

from dataclasses import replace

import numpy as np
import pytest

from model_training.decide import THRESHOLDS, fit_decision
from model_training.ranking import Ranking
from service.bundle.decision import score_needed
from service.bundle.views import Goal


def noisy_ranking(groups: int, seed: int, *, wrong: float = 0.3) -> Ranking:
    """Two queries a group; each has one right candidate near .8 and nine wrong ones near `wrong`."""
    rng = np.random.default_rng(seed)
    n = 2 * groups
    right = np.zeros((n, 10), dtype=bool)
    right[:, 0] = True
    scores = np.where(right, rng.normal(0.8, 0.1, (n, 10)), rng.normal(wrong, 0.13, (n, 10))).clip(-1, 1)
    order = np.argsort(-scores, axis=1)
    return Ranking(
        rows=np.arange(n * 10).reshape(n, 10),
        scores=np.take_along_axis(scores, order, 1).astype(np.float32),
        right=np.take_along_axis(right, order, 1),
        conflict=np.zeros_like(right),
        truth=np.ones(n, dtype=np.int64),
        groups=np.repeat(np.arange(groups), 2),
    )


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    """200 groups: enough to carry every goal."""
    return noisy_ranking(200, 3)


def outcome(ranking: Ranking, threshold: float) -> tuple[float, float, float]:
    """balanced f1_mean, precision and recall at a threshold, counted over each query and its lonely twin."""
    f1, hits, answers = 0.0, 0.0, 0.0
    for scores, right, partners in zip(ranking.scores, ranking.right, ranking.truth, strict=True):
        answered = scores >= threshold - 1e-9
        hit, wrong = int((answered & right).sum()), int((answered & ~right).sum())
        f1 += (2 * (hit + 1) / (hit + wrong + partners + 2) + 2 / (wrong + 2)) / 2
        hits, answers = hits + hit / partners, answers + (hit + 2 * wrong) / partners
    n = len(ranking.scores)
    return f1 / n, hits / answers if answers else 1.0, hits / n


def crowded(ranking: Ranking) -> Ranking:
    """Half of the queries have eight more partners each, which nobody could miss."""
    many = np.arange(len(ranking.truth)) % 2 == 0
    easy = np.broadcast_to(many[:, None], (len(many), 8))
    columns = (np.where(easy, np.float32(1), np.float32(-np.inf)), easy, np.zeros_like(easy))
    there = (ranking.scores, ranking.right, ranking.conflict)
    scores, right, conflict = (np.concatenate(parts, axis=1) for parts in zip(columns, there, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")
    rows = np.arange(right.size).reshape(right.shape)
    sorted_ = (np.take_along_axis(part, order, 1) for part in (rows, scores, right, conflict))
    return Ranking(*sorted_, ranking.truth + 8 * many, ranking.groups)


def test_balanced_is_the_best_threshold(ranking: Ranking) -> None:
    """No other threshold of the grid gives a higher f1_mean over queries of which half are singletons."""
    learned = fit_decision(ranking, seed=0).thresholds[Goal.BALANCED].score
    best = max(outcome(ranking, threshold)[0] for threshold in THRESHOLDS)
    assert outcome(ranking, learned)[0] == pytest.approx(best)


def test_precision_99_is_the_lowest_that_holds(ranking: Ranking) -> None:
    """From the threshold on precision is 99 %, one step below it is not; many easy partners do not lower it."""
    for asked in (ranking, crowded(ranking)):
        learned = fit_decision(asked, seed=0).thresholds[Goal.PRECISION_99]
        assert learned.supported
        assert all(outcome(asked, threshold)[1] >= 0.99 for threshold in THRESHOLDS if threshold >= learned.score)
        assert outcome(asked, learned.score - 0.0025)[1] < 0.99


def test_recall_90_is_the_highest_that_holds(ranking: Ranking) -> None:
    """At the threshold nine of ten right answers are given; one step above fewer."""
    learned = fit_decision(ranking, seed=0).thresholds[Goal.RECALL_90]
    assert learned.supported
    assert outcome(ranking, learned.score)[2] >= 0.9
    assert outcome(ranking, learned.score + 0.0025)[2] < 0.9


def test_interval_holds_the_threshold_and_narrows_with_groups(ranking: Ranking) -> None:
    """The bootstrap interval spans the learned threshold; four times the groups make it narrower."""
    many = fit_decision(ranking, seed=0).thresholds[Goal.RECALL_90]
    few = fit_decision(noisy_ranking(50, 3), seed=0).thresholds[Goal.RECALL_90]
    assert many.low <= many.score <= many.high
    assert many.high - many.low < few.high - few.low


def test_few_groups_support_nothing() -> None:
    """Twenty-nine groups do not carry a goal that thirty carry."""
    few, enough = (fit_decision(noisy_ranking(groups, 3), seed=0).thresholds for groups in (29, 30))
    assert not any(learned.supported for learned in few.values())
    assert enough[Goal.RECALL_90].supported


def test_calibration_is_monotone_and_near_the_truth() -> None:
    """Probabilities never fall; on fresh, hard candidates they are off the observed shares by .02 at most."""
    calibration = fit_decision(noisy_ranking(400, 3, wrong=0.6), seed=0).calibration
    assert list(calibration.scores) == sorted(set(calibration.scores))
    assert list(calibration.probabilities) == sorted(calibration.probabilities)
    fresh = noisy_ranking(400, 9, wrong=0.6)
    probability = np.interp(fresh.scores.ravel(), calibration.scores, calibration.probabilities)
    right, weight = fresh.right.ravel(), np.where(fresh.right.ravel(), 1.0, 2.0)
    error = 0.0
    for part in np.array_split(np.argsort(probability), 15):
        gap = np.average(probability[part], weights=weight[part]) - np.average(right[part], weights=weight[part])
        error += abs(gap) * weight[part].sum() / weight.sum()
    assert error < 0.02


def test_conflicts_are_calibrated_apart_and_left_out_of_strict_goals() -> None:
    """Contradicting candidates, all wrong, get a probability near 0 of their own; balanced then needs a lower score."""
    plain = noisy_ranking(200, 3, wrong=0.6)
    conflict = ~plain.right & (np.random.default_rng(1).random(plain.right.shape) < 0.8)
    told, untold = fit_decision(replace(plain, conflict=conflict), seed=0), fit_decision(plain, seed=0)
    assert told.conflict_calibration is not None
    assert max(told.conflict_calibration.probabilities) == 0
    assert untold.conflict_calibration is None
    assert told.thresholds[Goal.BALANCED].score < untold.thresholds[Goal.BALANCED].score
    assert told.thresholds[Goal.RECALL_90] == untold.thresholds[Goal.RECALL_90]
    assert np.interp(0.8, told.calibration.scores, told.calibration.probabilities) > np.interp(
        0.8, untold.calibration.scores, untold.calibration.probabilities
    )


def test_the_threshold_follows_the_gallery(ranking: Ranking) -> None:
    """
    Learned among an eighth of the strangers, the score that the slope gives among all is nearly the best one: eight
    times the lookalikes are those of a catalogue 64 times as large.
    """
    hard = noisy_ranking(400, 3, wrong=0.6)
    slope = fit_decision(hard, seed=0).thresholds[Goal.BALANCED].per_tenfold
    assert 0 < slope < 0.3
    learned = replace(fit_decision(hard.thinned(0.125, seed=99), seed=0).thresholds[Goal.BALANCED], per_tenfold=slope)
    moved, best = score_needed(learned, 1_000, 64_000), max(outcome(hard, threshold)[0] for threshold in THRESHOLDS)
    assert outcome(hard, moved)[0] > 0.995 * best
    assert outcome(hard, moved)[0] > outcome(hard, learned.score)[0]


def test_thinning_takes_strangers_out_and_nothing_else(ranking: Ranking) -> None:
    """Right candidates stay, strangers stay by share, scores keep their order, and everything moves up."""
    thinned = ranking.thinned(0.5, seed=1)
    assert (thinned.right.sum(1) == ranking.right.sum(1)).all()
    there = np.isfinite(thinned.scores)
    assert 0.4 < (there & ~thinned.right).sum() / (~ranking.right).sum() < 0.6
    assert (np.diff(np.where(there, thinned.scores, -2), axis=1) <= 0).all()
