"""
The figures of `benchmarks.growth` and what they say.

Precision is right answers / answers, summed over all queries, those that are alone included; recall is the mean, over
the queries with partners, of the share of partners answered; f1_mean is the mean over all queries of the F1 with the
query itself counted. Intervals: 95 %, bootstrap over products (each asks once), 1,000 resamples, the same ones for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.bundle.views import Goal

GOALS = (Goal.PRECISION_99, Goal.BALANCED)
STORES, CHOICES = ("fused", "plain"), ("precision .99", "best F1")
HINDSIGHT = "balanced, threshold in hindsight"
THRESHOLDS = np.round(np.arange(-1, 1.0026, 0.0025), 4)  # the last answers nothing

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Key = tuple[str, int]  # who decides, postings in the catalogue
Bounds = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True, slots=True)
class Outcome:
    """What n queries got, (n,) each: how many answers, how many of them right, how many partners there are."""

    answers: Integers
    hits: Integers
    truth: Integers

    def measure(self, weights: Floats) -> dict[str, Floats]:
        """The figures under each weighting of the queries (r, n), (r,) each; nothing answered counts as precise."""
        answers, paired = weights @ self.answers, weights * (self.truth > 0)
        f1 = 2 * (self.hits + 1) / (self.answers + self.truth + 2)
        return {
            "precision": np.divide(weights @ self.hits, answers, out=np.ones(len(weights)), where=answers > 0),
            "recall": paired @ (self.hits / np.maximum(self.truth, 1)) / paired.sum(1),
            "f1_mean": weights @ f1 / weights.sum(1),
            "alone, yet answered": (weights - paired) @ (self.answers > 0) / (weights - paired).sum(1),
        }


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest postings of n queries: row, cosine, whether a partner, (n, k) each; partners there are, (n,)."""

    rows: Integers
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    truth: Integers

    def at(self, threshold: float) -> Outcome:
        """What one `score_threshold` answers."""
        answered = self.scores >= threshold
        return Outcome(answered.sum(1), (answered & self.right).sum(1), self.truth)

    def thresholds(self) -> dict[str, float]:
        """By CHOICES: the lowest threshold from which on precision is .99, and that of the best f1_mean."""
        all_once = np.ones((1, len(self.truth)))
        figures = [self.at(float(threshold)).measure(all_once) for threshold in THRESHOLDS]
        precise = np.array([figure["precision"][0] >= 0.99 for figure in figures])
        from_there_on = np.logical_and.accumulate(precise[::-1])[::-1]
        columns = np.argmax(from_there_on), np.argmax([figure["f1_mean"][0] for figure in figures])
        return {choice: float(THRESHOLDS[column]) for choice, column in zip(CHOICES, columns, strict=True)}


def resample(found: Mapping[Key, Outcome], seed: int) -> dict[Key, dict[str, Floats]]:
    """Each figure as it is and, after that, in 1,000 resamples: (1001,)."""
    queries = len(next(iter(found.values())).truth)
    draws = np.random.default_rng(seed).multinomial(queries, np.full(queries, 1 / queries), 1000)
    return {key: outcome.measure(np.vstack([np.ones(queries), draws])) for key, outcome in found.items()}


def bound(figures: Mapping[str, Floats], less: Mapping[str, Floats] | None = None) -> dict[str, Bounds]:
    """Each figure with its interval; or how far it lies above another's."""
    bounds = {}
    for name, values in figures.items():
        above = values if less is None else values - less[name]
        low, high = np.quantile(above[1:], (0.025, 0.975))
        bounds[name] = (round(float(above[0]), 4), round(float(low), 4), round(float(high), 4))
    return bounds


def render(bounds: Mapping[Key, Mapping[str, Bounds]]) -> str:
    """A Markdown table."""
    names = next(iter(bounds.values()))
    lines = [f"| decided by | postings | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for (name, size), figures in bounds.items():
        cells = ["{:.3f} [{:.3f}, {:.3f}]".format(*figure) for figure in figures.values()]
        lines.append(f"| {name} | {size:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def conclude(figures: Mapping[Key, Mapping[str, Floats]], sizes: Sequence[int]) -> list[str]:
    """Whether the target is met, what each kept threshold lost, and whether Kembar has an advantage over it."""
    first, last = sizes[0], sizes[-1]
    kembar = [figures["precision_99", size] for size in sizes]
    precision = min(float(one["precision"][0]) for one in kembar)
    moved = max(abs(float(one["recall"][0] - kembar[0]["recall"][0])) for one in kembar)
    lines = [
        f"precision_99: least precision {precision:.3f} (target .97: {'met' if precision >= 0.97 else 'MISSED'}), "
        f"recall moves by {moved:.3f} (target .03: {'met' if moved <= 0.03 else 'MISSED'})"
    ]
    for size in sizes:
        learned, best = (float(figures[name, size]["f1_mean"][0]) for name in ("balanced", HINDSIGHT))
        lines.append(
            f"balanced at {size:,}: f1_mean {learned:.3f} of {best:.3f} in hindsight, {learned / best:.3f} kept"
        )
    for goal, choice in zip(GOALS, CHOICES, strict=True):
        for name in (f"{store}, {choice}" for store in STORES):
            lost = bound(figures[name, last], figures[name, first])
            gain = bound(figures[goal.value, last], figures[name, last])
            lines.append(f"{name}, from {first:,} to {last:,} postings: {_say(lost)}")
            lines.append(f"  {goal} over it at {last:,}: {_say(gain)}: {_judge(gain)}")
    return lines


def _judge(gain: Mapping[str, Bounds]) -> str:
    """What the intervals say that lie on one side of 0."""
    better = [name for name in ("precision", "recall") if gain[name][1] > 0]
    worse = [name for name in ("precision", "recall") if gain[name][2] < 0]
    if better and worse:
        return f"better in {better[0]}, worse in {worse[0]}"
    return f"better in {' and '.join(better)}" if better else "NO ADVANTAGE"


def _say(bounds: Mapping[str, Bounds]) -> str:
    told = ("precision", "recall", "f1_mean")
    return ", ".join("{} {:+.3f} [{:+.3f}, {:+.3f}]".format(name, *bounds[name]) for name in told)
