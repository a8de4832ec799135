"""Matching: a picture and a title, or a stored posting, against the catalogue."""

import time

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import openapi
from service.answers import json_answer
from service.batcher import Priority
from service.posting_ids import path_id
from service.requests import FORM, JSON, from_form_or_json, from_query, no_query
from service.routes.examples import MATCHES
from service.schemas import MatchOptions, MatchRequest
from service.services import services_of

router = APIRouter(tags=["matches"])


@router.post(
    "/v1/matches",
    responses=openapi.success(200, "the matches", MATCHES) | openapi.problems(*openapi.FORM_BODY, *openapi.STORED),
    openapi_extra={"requestBody": openapi.body(MatchRequest, FORM, JSON)},
)
async def match(request: Request) -> Response:
    """Which postings show the same product as this picture, this title, or both?"""
    started = time.perf_counter()
    no_query(request)
    services = services_of(request)
    wanted = await from_form_or_json(request, MatchRequest)
    vectors = await services.encoder.vectors(wanted.image, wanted.title, Priority.QUERY)
    return json_answer(await services.matcher.match(vectors, wanted, wanted.exclude, started))


@router.get(
    "/v1/postings/{posting_id}/matches",
    responses=openapi.success(200, "the matches", MATCHES)
    | openapi.problems(*openapi.QUERY, *openapi.STORED, "unknown-posting"),
    openapi_extra={"parameters": openapi.query(MatchOptions)},
)
async def match_stored(request: Request) -> Response:
    """Which other postings show the same product as this stored one? Nothing is encoded."""
    started = time.perf_counter()
    services = services_of(request)
    options = from_query(request, MatchOptions)
    posting = await services.catalogue.get(path_id(request))
    return json_answer(await services.matcher.match(posting.vectors, options, [posting.posting_id], started))
