"""Is the process alive, does it take work, and what has it done?"""

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from service import openapi
from service.answers import Check, Readiness, json_answer
from service.readiness import readiness_of
from service.services import services_of

router = APIRouter(tags=["health"])

ALIVE = Check(True, "the event loop runs")
READY = Readiness(True, "ready", {"admission": Check(True, "open")})
DRAINING = Readiness(False, "draining", {"admission": Check(False, "stopping")})


@router.get("/livez", responses=openapi.problems() | openapi.success(200, "the loop runs", ALIVE))
async def livez(request: Request) -> Response:
    """The event loop runs."""
    return json_answer(ALIVE)


@router.get(
    "/readyz",
    responses=openapi.problems()
    | openapi.success(200, "ready", READY)
    | openapi.success(503, "not ready, degraded or draining", DRAINING),
)
async def readyz(request: Request) -> Response:
    """Whether the service takes work, with a finding per check."""
    readiness = await asyncio.to_thread(readiness_of, services_of(request))
    return json_answer(readiness, 200 if readiness.ready else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses=openapi.problems() | openapi.bytes_answer("text/plain", "the metrics"),
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(await asyncio.to_thread(services_of(request).metrics.render), media_type=CONTENT_TYPE_LATEST)
