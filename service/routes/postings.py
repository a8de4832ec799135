"""Postings: put, patch, get, list, delete, and their pictures."""

import asyncio
import hashlib
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from index.index import Index
from index.postings import Posting
from service import openapi
from service.answers import MatchAnswer, Page, PostingAnswer, WrittenAnswer, json_answer
from service.bundle.picture import thumbnail
from service.bundle.views import in_order
from service.catalogue import Stored
from service.jobs import Priority
from service.matcher import Candidate
from service.posting_ids import cursor_of, path_id
from service.requests import FORM, JSON, etag, from_form, from_json, from_query, no_query, precondition_of
from service.routes.examples import CREATED, PAGE, POSTING, REPLACED
from service.schemas import (
    MAX_LISTED_WITH_VECTORS,
    ListOptions,
    MatchOptions,
    PatchRequest,
    PictureOptions,
    PutOptions,
    PutRequest,
)
from service.services import services_of

THUMBNAIL_SIDE = 256

router = APIRouter(tags=["postings"])


@router.put(
    "/v1/postings/{posting_id}",
    responses=openapi.success(200, "replaced, or unchanged", REPLACED)
    | openapi.success(201, "created", CREATED)
    | openapi.problems(*openapi.FORM_BODY, *openapi.WRITE),
    openapi_extra={
        "requestBody": openapi.body(PutRequest, FORM),
        "parameters": [*openapi.query(PutOptions), *openapi.PRECONDITIONS],
    },
)
async def put(request: Request) -> Response:
    """Store the whole of a posting; with `matches=true` also answer what it matches."""
    services = services_of(request)
    posting_id, options, precondition = path_id(request), from_query(request, PutOptions), precondition_of(request)
    draft = await from_form(request, PutRequest)
    stored = await services.catalogue.put(posting_id, draft, precondition, Priority.ADDITION)
    if options.matches == "false":
        return _written(posting_id, stored, None)
    query = Candidate(None, draft.title, {}, stored.vectors)
    return _written(posting_id, stored, await services.matcher.match(query, MatchOptions(), [posting_id]))


@router.patch(
    "/v1/postings/{posting_id}",
    responses=openapi.success(200, "changed, or unchanged", REPLACED)
    | openapi.problems(
        *openapi.JSON_BODY, *openapi.TITLE, *openapi.WRITE, "unknown-posting", "model-fault", "worker-died"
    ),
    openapi_extra={"requestBody": openapi.body(PatchRequest, JSON), "parameters": openapi.PRECONDITIONS},
)
async def patch(request: Request) -> Response:
    """Change title or metadata of a posting; its picture stays."""
    no_query(request)
    posting_id, precondition = path_id(request), precondition_of(request)
    change = await from_json(request, PatchRequest)
    stored = await services_of(request).catalogue.patch(posting_id, change, precondition, Priority.ADDITION)
    return _written(posting_id, stored, None)


@router.get(
    "/v1/postings/{posting_id}",
    responses=openapi.success(200, "the posting", POSTING)
    | openapi.problems(*openapi.STORED, "unknown-posting", "unknown-field"),
)
async def get(request: Request) -> Response:
    """One stored posting; its ETag is its revision."""
    no_query(request)
    posting = await services_of(request).catalogue.get(path_id(request))
    return json_answer(_posting_answer(posting), headers=etag(posting.revision))


@router.get(
    "/v1/postings/{posting_id}/image",
    response_class=Response,
    responses=openapi.bytes_answer("image/jpeg", "the picture")
    | {304: {"description": "the picture of If-None-Match"}}
    | openapi.problems(*openapi.QUERY, *openapi.STORED, "unknown-posting", "picture-not-kept"),
    openapi_extra={"parameters": [*openapi.query(PictureOptions), openapi.header("If-None-Match", "304 if it holds")]},
)
async def picture(request: Request) -> Response:
    """The stored picture, re-encoded and without metadata."""
    options, posting_id = from_query(request, PictureOptions), path_id(request)
    stored = await asyncio.to_thread(services_of(request).index.picture, posting_id)
    tag = f'"{hashlib.sha256(stored).hexdigest()[:32]}-{options.size}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if options.size == "thumbnail":
        stored = await asyncio.to_thread(thumbnail, stored, THUMBNAIL_SIDE)
    return Response(stored, headers=headers, media_type="image/jpeg")


@router.delete(
    "/v1/postings/{posting_id}",
    status_code=204,
    response_class=Response,
    responses=openapi.problems(*openapi.WRITE, "unknown-field"),
    openapi_extra={"parameters": openapi.PRECONDITIONS},
)
async def delete(request: Request) -> Response:
    """Remove a posting, also one that is not there."""
    no_query(request)
    await services_of(request).catalogue.delete(path_id(request), precondition_of(request))
    return Response(status_code=204)


@router.get(
    "/v1/postings",
    responses=openapi.success(200, "one page", PAGE) | openapi.problems(*openapi.QUERY, *openapi.STORED),
    openapi_extra={"parameters": openapi.query(ListOptions)},
)
async def list_postings(request: Request) -> Response:
    """Postings in order of their ids' bytes."""
    options = from_query(request, ListOptions)
    return await asyncio.to_thread(_listed, services_of(request).index, options)


def _listed(index: Index, options: ListOptions) -> Response:
    limit, answer = options.limit, _posting_answer
    if options.vectors == "true":
        limit, answer = min(limit, MAX_LISTED_WITH_VECTORS), _with_vectors
    found = index.scan(after=options.after, limit=limit + 1, where=options.filter)
    page, has_more = found[:limit], len(found) > limit
    cursor = cursor_of(page[-1].posting_id) if has_more else None
    return json_answer(Page(tuple(answer(posting) for posting in page), cursor))


def _written(posting_id: str, stored: Stored, matches: MatchAnswer | None) -> Response:
    done, views = stored.written, in_order(stored.vectors)
    answer = WrittenAnswer(posting_id, done.revision, done.created, done.changed, views, matches)
    return json_answer(answer, 201 if done.created else 200, etag(done.revision))


def _posting_answer(posting: Posting) -> PostingAnswer:
    return PostingAnswer(
        posting_id=posting.posting_id,
        title=posting.title,
        metadata=posting.metadata,
        views=in_order(posting.vectors),
        revision=posting.revision,
        image_sha256=posting.image_digest,
        created_at=posting.created_at,
        updated_at=posting.updated_at,
    )


def _with_vectors(posting: Posting) -> PostingAnswer:
    vectors = {view: tuple(posting.vectors[view].tolist()) for view in in_order(posting.vectors)}
    return replace(_posting_answer(posting), vectors=vectors)
