"""What the service decides with, and what a call may hold."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service import bulk, openapi
from service.answers import LimitsAnswer, ModelAnswer, json_answer
from service.bundle import picture_header
from service.bundle.picture_checks import MAX_IMAGE_BYTES
from service.bundle.title import MAX_TITLE_CODE_POINTS
from service.bundle.views import View
from service.posting_ids import MAX_ID_BYTES
from service.requests import no_query
from service.routes.examples import MODEL
from service.schemas import MAX_EXCLUDED, MAX_LISTED, MAX_MATCHES, MAX_METADATA_BYTES
from service.services import services_of

router = APIRouter(tags=["model"])

LIMITS = LimitsAnswer(
    image_bytes=MAX_IMAGE_BYTES,
    image_types=("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"),
    image_side_pixels=(picture_header.MIN_SIDE, picture_header.MAX_SIDE),
    image_pixels={
        "baseline_jpeg": picture_header.MAX_PIXELS_BASELINE_JPEG,
        "alpha_or_16_bit": picture_header.MAX_PIXELS_COSTLY,
        "other": picture_header.MAX_PIXELS,
    },
    title_code_points=MAX_TITLE_CODE_POINTS,
    title_bytes=4 * MAX_TITLE_CODE_POINTS,
    metadata_bytes=MAX_METADATA_BYTES,
    posting_id_bytes=MAX_ID_BYTES,
    matches=MAX_MATCHES,
    excluded_ids=MAX_EXCLUDED,
    listed_postings=MAX_LISTED,
    bulk_lines=bulk.MAX_LINES,
    bulk_bytes=bulk.MAX_BYTES,
    bulk_line_bytes=bulk.MAX_LINE_BYTES,
    rate=None,
)


@router.get("/v1/model", responses=openapi.success(200, "the model", MODEL) | openapi.problems("unknown-field"))
async def model(request: Request) -> Response:
    """Encoders, weights, thresholds and calibration, with the data that they were measured on."""
    no_query(request)
    bundle = services_of(request).bundle
    manifest = bundle.manifest
    answer = ModelAnswer(
        encoder_id=manifest.encoder_id,
        fingerprint=bundle.fingerprint,
        views=tuple(str(view) for view in View if view in manifest.encoders),
        dimensions=bundle.dimensions,
        weights={str(view): weight for view, weight in manifest.weights.items()},
        thresholds={key: decision.thresholds for key, decision in manifest.decisions.items()},
        calibration={key: decision.calibration for key, decision in manifest.decisions.items()},
        gallery_size=manifest.gallery_size,
        metrics=manifest.metrics,
        provenance=manifest.provenance,
    )
    return json_answer(answer)


@router.get("/v1/limits", responses=openapi.success(200, "the limits", LIMITS) | openapi.problems("unknown-field"))
async def limits(request: Request) -> Response:
    """How much a call may hold."""
    no_query(request)
    return json_answer(LIMITS)
