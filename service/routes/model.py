"""What the service decides with, and what a call may hold."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import openapi
from service.answers import LimitsAnswer, ModelAnswer, json_answer
from service.bundle.views import in_order
from service.requests import no_query
from service.routes.examples import MODEL
from service.services import services_of

router = APIRouter(tags=["model"])

LIMITS = LimitsAnswer()


@router.get(
    "/v1/model", responses=openapi.success(200, "the model", MODEL) | openapi.problems("draining", "unknown-field")
)
async def model(request: Request) -> Response:
    """Encoders, weights, thresholds and calibration, with the data that they were measured on."""
    no_query(request)
    bundle = services_of(request).bundle
    manifest = bundle.manifest
    answer = ModelAnswer(
        encoder_id=manifest.encoder_id,
        fingerprint=bundle.fingerprint,
        views=in_order(manifest.encoders),
        dimensions=bundle.dimensions,
        weights={str(view): weight for view, weight in manifest.weights.items()},
        thresholds={key: decision.thresholds for key, decision in manifest.decisions.items()},
        calibration={key: decision.calibration for key, decision in manifest.decisions.items()},
        gallery_size=manifest.gallery_size,
        metrics=manifest.metrics,
        provenance=manifest.provenance,
    )
    return json_answer(answer)


@router.get(
    "/v1/limits", responses=openapi.success(200, "the limits", LIMITS) | openapi.problems("draining", "unknown-field")
)
async def limits(request: Request) -> Response:
    """How much a call may hold."""
    no_query(request)
    return json_answer(LIMITS)
