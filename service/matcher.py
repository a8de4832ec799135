"""From vectors to a decision: which postings count as the same product, and why."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.index import Index
from index.postings import Hit, JsonValue, Posting
from index.scoring import cosine, unit_float64
from service.answers import CompareAnswer, Match, MatchAnswer, Rejected, Verdict
from service.batcher import Lane, Workers, run_calls
from service.bundle.decision import Decision
from service.bundle.variants import variant_conflict
from service.bundle.views import Goal, View, in_order
from service.jobs import Priority
from service.schemas import MAX_MATCHES, MatchOptions
from service.stages import elapsed_ms

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


class Matcher:
    """The decision over the nearest postings of each set of shared views. Called from the event loop."""

    def __init__(self, index: Index, decision: Decision, fingerprint: str, workers: Workers) -> None:
        self._index, self._decision, self._fingerprint = index, decision, fingerprint
        self._metrics = workers.metrics
        self.lane: Lane[Callable[[], list[Hit]], list[Hit]] = Lane("search", run_calls, workers, ms_per_unit=5.0)

    async def match(
        self, query: Candidate | Posting, options: MatchOptions, exclude: Collection[str], offset: int = 0
    ) -> MatchAnswer:
        """The postings that show the same product as the query, the `offset` best of them left out."""
        # One more than any call may ask for, so that "there are more" is seen, and the best below the threshold too.
        wanted, nearest, most = offset + options.limit, offset + MAX_MATCHES + 1, offset + MOST_JUDGED
        while True:
            found = await self._nearest(query, options, exclude, nearest)
            near = [match for match in found if match.score >= match.threshold]
            accepted = [match for match in near if not self._is_ruled_out(match, options)]
            was_cut_off = nearest <= len(found) and nearest < most
            if len(accepted) > wanted or len(accepted) == len(near) or not was_cut_off:
                break
            nearest = min(4 * nearest, most)  # contradicting titles took the places of others
        answered = tuple(accepted[offset:wanted])
        self._metrics.matches.observe(len(answered))
        return MatchAnswer(
            matches=answered,
            goal=options.goal,
            best_rejected=next((_rejected(match) for match in found if not self._counts(match, options)), None),
            limit_reached=len(accepted) > wanted,
            model=self._fingerprint,
            took_ms=elapsed_ms(),
        )

    def compare(self, a: Candidate | Posting, b: Candidate | Posting) -> CompareAnswer:
        """Judge one pair: b as seen from a."""
        shared = [view for view in View if view in a.vectors and view in b.vectors]
        scores = {str(view): _cosine(a.vectors[view], b.vectors[view]) for view in shared}
        judged = {}
        for goal in Goal if scores else ():
            options = MatchOptions(goal=goal)
            match = self._judge(a, b, scores, options, self._thresholds(options))
            judged[goal] = match, Verdict(self._counts(match, options), match.threshold, match.goal_supported)
        return CompareAnswer(
            match=judged[Goal.BALANCED][0] if judged else None,
            verdicts={goal: judged[goal][1] if judged else Verdict(False, None, False) for goal in Goal},
            model=self._fingerprint,
            took_ms=elapsed_ms(),
        )

    async def _nearest(
        self, query: Candidate | Posting, options: MatchOptions, exclude: Collection[str], nearest: int
    ) -> list[Match]:
        """So many of each set of shared views, and the best below the threshold, judged, best first."""
        thresholds = self._thresholds(options)

        def search() -> list[Hit]:
            where = options.filter
            return self._index.search(query.vectors, k=nearest, floors=thresholds, where=where, exclude=exclude)

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
    ) -> Match:
        views, score = frozenset(scores), self._decision.fuse(scores)
        conflict = variant_conflict(query.title, other.title) if View.TITLE in views else ()
        return Match(
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

    def _counts(self, match: Match, options: MatchOptions) -> bool:
        return match.score >= match.threshold and not self._is_ruled_out(match, options)

    def _is_ruled_out(self, match: Match, options: MatchOptions) -> bool:
        # Who names a score of his own has decided what counts.
        return options.threshold is None and self._decision.rejects(options.goal, match.variant_conflict)


def _rejected(match: Match) -> Rejected:
    return Rejected(str(match.posting_id), match.score, match.threshold, match.views, match.variant_conflict)


def _rank(match: Match) -> tuple[float, float, bytes]:
    return -match.probability, -match.score, (match.posting_id or "").encode()


def _cosine(a: NDArray[np.float32] | NDArray[np.float16], b: NDArray[np.float32] | NDArray[np.float16]) -> float:
    # As the index scores: both sides in half precision, as they are or would be stored.
    return cosine(b.astype(np.float16), unit_float64(a.astype(np.float16)))
