"""Matching against the catalogue, comparing two postings, and the bare vectors."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from index.postings import Posting
from service import openapi
from service.answers import EmbeddingsAnswer, json_answer
from service.jobs import Priority
from service.matcher import Candidate
from service.posting_ids import path_id
from service.requests import FORM, JSON, from_form_or_json, from_json, from_query, no_query
from service.routes.examples import COMPARED, EMBEDDINGS, MATCHES
from service.schemas import CompareRequest, Content, MatchRequest, Side, StoredMatchOptions
from service.services import Services, services_of
from service.stages import elapsed_ms

router = APIRouter(tags=["matches"])


@router.post(
    "/v1/matches",
    responses=openapi.success(200, "the matches", MATCHES) | openapi.problems(*openapi.FORM_BODY, *openapi.STORED),
    openapi_extra={"requestBody": openapi.body(MatchRequest, FORM, JSON)},
)
async def match(request: Request) -> Response:
    """Which postings show the same product as this picture, this title, or both?"""
    no_query(request)
    services = services_of(request)
    wanted = await from_form_or_json(request, MatchRequest)
    vectors = await services.encoder.vectors_to_match(wanted.image, wanted.title, services.matcher.lane)
    query = Candidate(None, wanted.title, {}, vectors)
    return json_answer(await services.matcher.match(query, wanted, wanted.exclude))


@router.get(
    "/v1/postings/{posting_id}/matches",
    responses=openapi.success(200, "the matches", MATCHES)
    | openapi.problems(*openapi.QUERY, *openapi.STORED, "unknown-posting"),
    openapi_extra={"parameters": openapi.query(StoredMatchOptions)},
)
async def match_stored(request: Request) -> Response:
    """Which other postings show the same product as this stored one? Nothing is encoded."""
    services = services_of(request)
    options = from_query(request, StoredMatchOptions)
    posting = await services.catalogue.get(path_id(request))
    return json_answer(await services.matcher.match(posting, options, [posting.posting_id], options.offset))


@router.post(
    "/v1/compare",
    responses=openapi.success(200, "the pair, judged", COMPARED)
    | openapi.problems(*openapi.JSON_BODY, *openapi.CONTENT, *openapi.STORED, "unknown-posting"),
    openapi_extra={"requestBody": openapi.body(CompareRequest, JSON)},
)
async def compare(request: Request) -> Response:
    """Do these two postings, each stored or sent along, show the same product?"""
    no_query(request)
    services = services_of(request)
    pair = await from_json(request, CompareRequest)
    a, b = await _candidate(services, pair.a), await _candidate(services, pair.b)
    return json_answer(services.matcher.compare(a, b))


@router.post(
    "/v1/embeddings",
    responses=openapi.success(200, "the vectors", EMBEDDINGS) | openapi.problems(*openapi.FORM_BODY),
    openapi_extra={"requestBody": openapi.body(Content, FORM, JSON)},
)
async def embeddings(request: Request) -> Response:
    """The unit vector of each view that is sent."""
    no_query(request)
    services = services_of(request)
    content = await from_form_or_json(request, Content)
    vectors = await services.encoder.vectors(content.image, content.title, Priority.QUERY)
    rows = {str(view): tuple(vector.tolist()) for view, vector in vectors.items()}
    return json_answer(EmbeddingsAnswer(rows, services.bundle.fingerprint, elapsed_ms()))


async def _candidate(services: Services, side: Side) -> Candidate | Posting:
    if side.posting_id is None:
        return await _encoded(services, side)
    return await services.catalogue.get(side.posting_id)


async def _encoded(services: Services, content: Content) -> Candidate:
    vectors = await services.encoder.vectors(content.image, content.title, Priority.QUERY)
    return Candidate(None, content.title, {}, vectors)
