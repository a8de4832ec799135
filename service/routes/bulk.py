"""Bulk loads: NDJSON in, NDJSON out, streamed."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import openapi
from service.bodies import require_media_type
from service.bulk import NDJSON, BulkResponse, lines_of
from service.errors import EmptyBulk
from service.requests import no_query
from service.routes.examples import BULK_LINE
from service.schemas import BulkDelete, BulkPatch, BulkPut
from service.services import services_of

router = APIRouter(tags=["bulk"])


@router.post(
    "/v1/bulk",
    response_class=Response,
    responses=openapi.success(200, "a line a line, in order", BULK_LINE, NDJSON)
    | openapi.problems(*openapi.BODY, "empty-bulk", "unknown-field"),
    openapi_extra={"requestBody": openapi.lines_body([BulkPut, BulkPatch, BulkDelete])},
)
async def bulk(request: Request) -> Response:
    """Put, patch and delete many postings: good lines are committed in order, bad ones are reported."""
    no_query(request)
    require_media_type(request, NDJSON)
    lines = lines_of(request)
    first = await anext(lines, None)
    if first is None:
        raise EmptyBulk("expected at least one line, got none")
    return BulkResponse(first, lines, services_of(request), request.state.request_id)
