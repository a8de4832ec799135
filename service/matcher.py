"""From vectors to a decision: which postings count as the same product, and why."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.index import Index
from index.postings import Hit, JsonValue, Posting
from index.scoring import cosine, unit_float64
from service.answers import CompareAnswer, Match, MatchAnswer, Rejected, Verdict, in_order
from service.batcher import Lane, Priority, run_calls
from service.bundle.decision import Decision
from service.bundle.views import Goal, View
from service.schemas import MAX_MATCHES, MatchOptions
from service.stages import Stages

Vectors = Mapping[str, NDArray[np.float32]] | Mapping[str, NDArray[np.float16]]
Thresholds = Callable[[frozenset[str]], float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One side of a comparison that is not stored."""

    posting_id: None
    title: str | None
    metadata: Mapping[str, JsonValue]
    vectors: Vectors


class Matcher:
    """The decision over the nearest postings of each set of shared views. Called from the event loop."""

    def __init__(self, index: Index, decision: Decision, fingerprint: str, *, threads: int, stages: Stages) -> None:
        self._index, self._decision, self._fingerprint, self._stages = index, decision, fingerprint, stages
        self.lane: Lane[Callable[[], list[Hit]], list[Hit]] = stages.lane("search", run_calls, threads, 1, 5.0)

    async def match(
        self, vectors: Vectors, options: MatchOptions, exclude: Collection[str], started: float, offset: int = 0
    ) -> MatchAnswer:
        """
        The postings that show the same product as these unit vectors (dim,), the `offset` best of them left out;
        `started` by `perf_counter`.
        """
        thresholds = self._thresholds(options)
        # One more than any call may ask for, so that "there are more" is seen, and the best below the threshold too.
        nearest = offset + MAX_MATCHES + 1

        def search() -> list[Hit]:
            return self._index.search(vectors, k=nearest, floors=thresholds, where=options.filter, exclude=exclude)

        hits = await self._stages.through(self.lane, search, Priority.QUERY)
        found = sorted((self._match(hit.posting, hit.scores, options.goal, thresholds) for hit in hits), key=_rank)
        accepted = [match for match in found if match.score >= match.threshold]
        rejected = (match for match in found if match.score < match.threshold)
        return MatchAnswer(
            matches=tuple(accepted[offset : offset + options.limit]),
            goal=options.goal,
            best_rejected=next((Rejected(str(m.posting_id), m.score, m.threshold, m.views) for m in rejected), None),
            limit_reached=len(accepted) > offset + options.limit,
            model=self._fingerprint,
            took_ms=ms_since(started),
        )

    def compare(self, a: Vectors, b: Candidate | Posting, started: float) -> CompareAnswer:
        """Judge one pair: b as seen from a."""
        scores = {str(view): _cosine(a[view], b.vectors[view]) for view in View if view in a and view in b.vectors}
        thresholds = self._thresholds(MatchOptions())
        return CompareAnswer(
            match=self._match(b, scores, Goal.BALANCED, thresholds) if scores else None,
            verdicts={goal: self._verdict(scores, goal) for goal in Goal},
            model=self._fingerprint,
            took_ms=ms_since(started),
        )

    def _thresholds(self, options: MatchOptions) -> Thresholds:
        asked = options.threshold
        if asked is not None:
            return lambda views: asked
        return lambda views: self._decision.threshold(views, options.goal).score

    def _match(
        self, other: Candidate | Posting, scores: Mapping[str, float], goal: Goal, thresholds: Thresholds
    ) -> Match:
        views, score = frozenset(scores), self._decision.fuse(scores)
        return Match(
            posting_id=other.posting_id,
            probability=self._decision.probability(views, score),
            score=score,
            threshold=thresholds(views),
            views=in_order(views),
            goal_supported=self._decision.threshold(views, goal).supported,
            variant_conflict=(),
            image_score=scores.get(View.IMAGE),
            title_score=scores.get(View.TITLE),
            title=other.title,
            metadata=other.metadata,
        )

    def _verdict(self, scores: Mapping[str, float], goal: Goal) -> Verdict:
        if not scores:
            return Verdict(same_product=False, threshold=None, goal_supported=False)
        learned = self._decision.threshold(scores, goal)
        return Verdict(self._decision.fuse(scores) >= learned.score, learned.score, learned.supported)


def _rank(match: Match) -> tuple[float, float, bytes]:
    return -match.probability, -match.score, (match.posting_id or "").encode()


def _cosine(a: NDArray[np.float32] | NDArray[np.float16], b: NDArray[np.float32] | NDArray[np.float16]) -> float:
    # As the index scores: both sides in half precision, as they are or would be stored.
    return cosine(b.astype(np.float16), unit_float64(a.astype(np.float16)))


def ms_since(started: float) -> float:
    """Milliseconds since this `time.perf_counter()`."""
    return round((time.perf_counter() - started) * 1e3, 3)
