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
from service.bundle.variants import variant_conflict
from service.bundle.views import Goal, View
from service.metrics import Metrics
from service.schemas import MAX_MATCHES, MatchOptions

Thresholds = Callable[[frozenset[str]], float]
MOST_JUDGED = 1_000  # where contradicting titles leave an answer short, the search goes on, by no more than this
Vectors = Mapping[str, NDArray[np.float32]] | Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One side of a comparison that is not stored."""

    posting_id: None
    title: str | None
    metadata: Mapping[str, JsonValue]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Judged:
    """A match with its evidence; `is_ruled_out` where what its title contradicts outweighs its score."""

    match: Match
    is_ruled_out: bool

    @property
    def is_accepted(self) -> bool:
        """Whether it counts."""
        return self.match.score >= self.match.threshold and not self.is_ruled_out


class Matcher:
    """The decision over the nearest postings of each set of shared views. Called from the event loop."""

    def __init__(self, index: Index, decision: Decision, fingerprint: str, *, threads: int, metrics: Metrics) -> None:
        self._index, self._decision, self._fingerprint = index, decision, fingerprint
        self.lane: Lane[Callable[[], list[Hit]], list[Hit]] = Lane(
            "search", run_calls, metrics, workers=threads, max_batch=1, ms_per_unit=5.0
        )

    async def match(
        self,
        query: Candidate | Posting,
        options: MatchOptions,
        exclude: Collection[str],
        started: float,
        offset: int = 0,
    ) -> MatchAnswer:
        """
        The postings that show the same product as the query, the `offset` best of them left out; `started` by
        `perf_counter`.
        """
        # One more than any call may ask for, so that "there are more" is seen, and the best below the threshold too.
        wanted, nearest = offset + options.limit, offset + MAX_MATCHES + 1
        found = await self._nearest(query, options, exclude, nearest)
        accepted = [judged.match for judged in found if judged.is_accepted]
        most = offset + MOST_JUDGED
        while len(accepted) <= wanted and nearest < most and any(judged.is_ruled_out for judged in found):
            if len(found) < nearest:
                break  # none was cut off
            nearest = min(4 * nearest, most)  # contradicting titles took the places of others
            found = await self._nearest(query, options, exclude, nearest)
            accepted = [judged.match for judged in found if judged.is_accepted]
        return MatchAnswer(
            matches=tuple(accepted[offset:wanted]),
            goal=options.goal,
            best_rejected=next((_rejected(judged.match) for judged in found if not judged.is_accepted), None),
            limit_reached=len(accepted) > wanted,
            model=self._fingerprint,
            took_ms=ms_since(started),
        )

    def compare(self, a: Candidate | Posting, b: Candidate | Posting, started: float) -> CompareAnswer:
        """Judge one pair: b as seen from a."""
        shared = [view for view in View if view in a.vectors and view in b.vectors]
        scores = {str(view): _cosine(a.vectors[view], b.vectors[view]) for view in shared}
        judged = {
            goal: self._judge(a, b, scores, options, self._thresholds(options))
            for goal, options in ((goal, MatchOptions(goal=goal)) for goal in Goal)
            if scores
        }
        return CompareAnswer(
            match=judged[Goal.BALANCED].match if judged else None,
            verdicts={goal: _verdict(judged.get(goal)) for goal in Goal},
            model=self._fingerprint,
            took_ms=ms_since(started),
        )

    async def _nearest(
        self, query: Candidate | Posting, options: MatchOptions, exclude: Collection[str], nearest: int
    ) -> list[Judged]:
        """So many of each set of shared views, and the best below the threshold, judged, best first."""
        thresholds = self._thresholds(options)

        def search() -> list[Hit]:
            return self._index.search(
                query.vectors, k=nearest, floors=thresholds, where=options.filter,
                exclude=exclude,
            )  # fmt: skip

        hits = await self.lane.through(search, Priority.QUERY)
        return sorted((self._judge(query, hit.posting, hit.scores, options, thresholds) for hit in hits), key=_rank)

    def _thresholds(self, options: MatchOptions) -> Thresholds:
        """What is needed among as many postings as there are now."""
        asked, size = options.threshold, self._index.count()
        if asked is not None:
            return lambda views: asked
        return lambda views: self._decision.score_needed(views, options.goal, size)

    def _judge(
        self,
        query: Candidate | Posting,
        other: Candidate | Posting,
        scores: Mapping[str, float],
        options: MatchOptions,
        thresholds: Thresholds,
    ) -> Judged:
        views, score = frozenset(scores), self._decision.fuse(scores)
        conflict = variant_conflict(query.title, other.title) if View.TITLE in views else ()
        match = Match(
            posting_id=other.posting_id,
            probability=self._decision.probability(views, score, conflict),
            score=score,
            threshold=thresholds(views),
            views=in_order(views),
            goal_supported=self._decision.threshold(views, options.goal).supported,
            variant_conflict=conflict,
            image_score=scores.get(View.IMAGE),
            title_score=scores.get(View.TITLE),
            lexical_score=scores.get(View.LEXICAL),
            title=other.title,
            metadata=other.metadata,
        )
        # Who names a score of his own has decided what counts.
        is_ruled_out = options.threshold is None and self._decision.rejects(options.goal, conflict)
        return Judged(match, is_ruled_out)


def _verdict(judged: Judged | None) -> Verdict:
    if judged is None:
        return Verdict(same_product=False, threshold=None, goal_supported=False)
    return Verdict(judged.is_accepted, judged.match.threshold, judged.match.goal_supported)


def _rejected(match: Match) -> Rejected:
    return Rejected(str(match.posting_id), match.score, match.threshold, match.views, match.variant_conflict)


def _rank(judged: Judged) -> tuple[float, float, bytes]:
    match = judged.match
    return -match.probability, -match.score, (match.posting_id or "").encode()


def _cosine(a: NDArray[np.float32] | NDArray[np.float16], b: NDArray[np.float32] | NDArray[np.float16]) -> float:
    # As the index scores: both sides in half precision, as they are or would be stored.
    return cosine(b.astype(np.float16), unit_float64(a.astype(np.float16)))


def ms_since(started: float) -> float:
    """Milliseconds since this `time.perf_counter()`."""
    return round((time.perf_counter() - started) * 1e3, 3)
