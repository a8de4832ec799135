"""The decision, against brute force over everything that is stored."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from index.index import Index
from index.postings import Draft
from service.answers import MatchAnswer
from service.batcher import Workers
from service.bundle.views import Goal, View, view_set_key
from service.matcher import Candidate, Matcher
from service.metrics import Metrics
from service.schemas import MAX_MATCHES, MatchOptions
from tests.service.fake_bundle import THRESHOLDS, WEIGHTS, fake_bundle

Vectors = Mapping[str, NDArray[np.float32]]
VIEW_SETS = (("image",), ("title",), ("image", "title"))
DECISION = fake_bundle().decision


@dataclass(frozen=True)
class Stored:
    posting_id: str
    shop: int
    vectors: Vectors


def unit(rng: np.random.Generator, dimension: int) -> NDArray[np.float32]:
    """A random unit vector of few different values, so that scores tie."""
    vector = rng.integers(-1, 2, dimension) + np.array([2] + [0] * (dimension - 1))
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def vectors(rng: np.random.Generator, views: Sequence[str]) -> Vectors:
    return {view: unit(rng, {"image": 5, "title": 4}[view]) for view in views}


def oracle(
    stored: Sequence[Stored], query: Vectors, options: MatchOptions, exclude: Sequence[str]
) -> tuple[list[tuple[str, float, float]], tuple[str, float] | None, bool]:
    """Matches as (id, probability, score), the best rejected as (id, score), whether the limit was reached."""
    groups: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for one in stored:
        shared = [view for view in ("image", "title") if view in query and view in one.vectors]
        where = options.filter or {}
        if not shared or one.posting_id in exclude or where.get("shop", one.shop) != one.shop:
            continue
        cosines = {}
        for view in shared:
            a, b = (x.astype(np.float16).astype(np.float64) for x in (query[view], one.vectors[view]))
            cosines[view] = round(float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)), 6)
        weight = sum(WEIGHTS[View(view)] for view in shared)
        fused = round(sum(WEIGHTS[View(view)] * cosines[view] for view in shared) / weight, 6)
        groups[view_set_key(shared)].append((fused, one.posting_id))
    ranked = []
    for key, found in groups.items():
        found.sort(key=lambda pair: (-pair[0], pair[1].encode()))
        threshold = THRESHOLDS[key][options.goal] if options.threshold is None else options.threshold
        views = frozenset(key.split("+"))
        ranked += [
            (DECISION.probability(views, score), score, posting_id, score >= threshold)
            for score, posting_id in found[: (MAX_MATCHES + 1)]
        ]
    ranked.sort(key=lambda hit: (-hit[0], -hit[1], hit[2].encode()))
    accepted = [(posting_id, probability, score) for probability, score, posting_id, good in ranked if good]
    rejected = [(posting_id, score) for _, score, posting_id, good in ranked if not good]
    return accepted[: options.limit], rejected[0] if rejected else None, len(accepted) > options.limit


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Index, list[Stored]]]:
    """400 postings of all view sets, many of them alike."""
    rng = np.random.default_rng(7)
    dimensions = {"image": 5, "title": 4}
    index = Index.open(
        Path(tmp_path_factory.mktemp("index")), encoder_id="x", dimensions=dimensions, weights=DECISION.weights
    )
    stored = [Stored(f"p{number}", number % 3, vectors(rng, VIEW_SETS[number % 3])) for number in range(400)]
    writes = [index.put(Draft(one.posting_id, "a title", {"shop": one.shop}, one.vectors)) for one in stored]
    for write in writes:
        write.result()
    yield index, stored
    index.close()


@pytest.fixture
def matcher(catalogue: tuple[Index, list[Stored]]) -> Iterator[Matcher]:
    workers = Workers(1, Metrics())
    yield Matcher(catalogue[0], DECISION, "sha256:fingerprint", workers)
    workers.close()


def match(matcher: Matcher, query: Vectors, options: MatchOptions, exclude: Sequence[str]) -> MatchAnswer:
    return asyncio.run(matcher.match(Candidate(None, None, {}, query), options, exclude))


@pytest.mark.parametrize("views", VIEW_SETS, ids="+".join)
@pytest.mark.parametrize(
    "options",
    [MatchOptions(goal=goal, limit=limit) for goal in Goal for limit in (1, 5, 50)]
    + [MatchOptions(threshold=threshold, limit=limit) for threshold in (-1.0, 0.3, 1.0) for limit in (1, 50)]
    + [MatchOptions(threshold=-1.0, filter={"shop": 1}), MatchOptions(filter={"shop": 2})],
    ids=lambda options: options.model_dump_json(exclude_defaults=True),
)
def test_answers_equal_brute_force(
    matcher: Matcher, catalogue: tuple[Index, list[Stored]], views: Sequence[str], options: MatchOptions
) -> None:
    """Which match, in which order, which was rejected last, and whether there are more: as a loop over all says."""
    rng = np.random.default_rng(11)
    for exclude in ([], ["p1", "p2", "p3", "p7"]):
        query = vectors(rng, views)
        answer = match(matcher, query, options, exclude)
        rejected = answer.best_rejected
        assert (
            [(found.posting_id, found.probability, found.score) for found in answer.matches],
            None if rejected is None else (rejected.posting_id, rejected.score),
            answer.limit_reached,
        ) == oracle(catalogue[1], query, options, exclude)


def test_a_match_carries_its_evidence(matcher: Matcher, catalogue: tuple[Index, list[Stored]]) -> None:
    """A posting found by itself: every field, with null for the view that one side lacks."""
    one = catalogue[1][5]
    answer = match(matcher, {"image": one.vectors["image"]}, MatchOptions(threshold=0.99999, limit=50), [])
    found = next(found for found in answer.matches if found.posting_id == one.posting_id)
    assert (found.image_score, found.title_score, found.score, found.probability) == (1.0, None, 1.0, 1.0)
    assert (found.views, found.threshold, found.variant_conflict) == (("image",), 0.99999, ())
    assert (found.title, found.metadata) == ("a title", {"shop": one.shop})
    assert (answer.goal, answer.model) == (Goal.BALANCED, "sha256:fingerprint")


def test_a_goal_without_support_is_told(matcher: Matcher) -> None:
    """`goal_supported` is what the bundle says of the goal asked for."""
    query = vectors(np.random.default_rng(3), ("image",))
    for goal in Goal:
        supported = {found.goal_supported for found in match(matcher, query, MatchOptions(goal=goal), []).matches}
        assert supported <= {goal is not Goal.RECALL_90}


def test_a_pair_is_judged_as_a_search_judges_it(matcher: Matcher, catalogue: tuple[Index, list[Stored]]) -> None:
    """Comparing with each stored posting gives the scores that a search gives, and the verdict at each goal."""
    query = vectors(np.random.default_rng(4), ("image", "title"))
    found = match(matcher, query, MatchOptions(threshold=-1.0), []).matches
    for one in found:
        other = catalogue[0].get(str(one.posting_id))
        answer = matcher.compare(Candidate(None, None, {}, query), other)
        assert answer.match is not None
        assert (answer.match.score, answer.match.probability, answer.match.views) == (
            one.score,
            one.probability,
            one.views,
        )
        limits = THRESHOLDS[view_set_key(one.views)]
        assert {goal: verdict.same_product for goal, verdict in answer.verdicts.items()} == {
            goal: one.score >= limits[goal] for goal in Goal
        }


def test_a_pair_that_shares_no_view_never_matches(matcher: Matcher) -> None:
    """A picture and a title cannot be compared: no match object, and no at every goal."""
    rng = np.random.default_rng(5)
    other = Candidate(None, None, {}, vectors(rng, ("title",)))
    answer = matcher.compare(Candidate(None, None, {}, vectors(rng, ("image",))), other)
    assert answer.match is None
    assert {verdict.same_product for verdict in answer.verdicts.values()} == {False}


def test_offset_goes_on_where_an_answer_ended(client: TestClient) -> None:
    """The answers at rising offsets, one after the other, are the whole list in its order; the last says that it is."""
    for number in range(60):
        client.put(f"/v1/postings/p{number:02}", files={"title": (None, "steel mug " + "lid " * (number % 7))})
    answers = [
        client.get("/v1/postings/p00/matches", params={"threshold": -1, "limit": 25, "offset": offset}).json()
        for offset in (0, 25, 50, 75)
    ]
    found = [match for answer in answers for match in answer["matches"]]
    assert len({match["posting_id"] for match in found}) == 59
    assert found == sorted(found, key=lambda match: (-match["probability"], -match["score"], match["posting_id"]))
    assert [answer["limit_reached"] for answer in answers] == [True, True, False, False]


def test_an_answer_that_nothing_contradicts_takes_one_search(
    matcher: Matcher, catalogue: tuple[Index, list[Stored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty matches, or nearly, and the few just below their thresholds are found at once, for every query."""
    search, searches = Index.search, list[int]()

    def counted(self: Index, of: Vectors, **options: object) -> object:
        searches.append(1)
        return search(self, of, **options)

    monkeypatch.setattr(Index, "search", counted)
    answers = [
        match(matcher, vectors(np.random.default_rng(seed), ("image", "title")), MatchOptions(threshold=threshold), [])
        for seed in range(20)
        for threshold in np.arange(0.8, 0.95, 0.01).tolist()
    ]
    assert any(len(answer.matches) >= 49 and not answer.limit_reached for answer in answers)
    assert len(searches) == len(answers)
