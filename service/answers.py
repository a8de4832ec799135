"""What the routes answer, as frozen dataclasses; they are also the answer schemas of the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http import HTTPStatus

from pydantic import JsonValue, TypeAdapter
from starlette.responses import Response

from service import schemas
from service.bodies import MAX_JSON_BYTES
from service.bundle import picture_header
from service.bundle.manifest import Calibration, GoalThreshold
from service.bundle.picture_checks import MAX_IMAGE_BYTES
from service.bundle.title import MAX_TITLE_CODE_POINTS
from service.bundle.views import Goal
from service.posting_ids import MAX_ID_BYTES
from service.problems import Problem

MAX_PIXELS = {
    "baseline_jpeg": picture_header.MAX_PIXELS_BASELINE_JPEG,
    "alpha_or_16_bit": picture_header.MAX_PIXELS_COSTLY,
    "other": picture_header.MAX_PIXELS,
}


@dataclass(frozen=True, slots=True)
class Match:
    """One posting that shows the same product; `views` is what both sides share, other views' scores are null."""

    posting_id: str | None
    probability: float
    score: float
    threshold: float
    views: tuple[str, ...]
    goal_supported: bool
    variant_conflict: tuple[str, ...]
    image_score: float | None
    title_score: float | None
    lexical_score: float | None
    title: str | None
    metadata: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The nearest posting that does not count: below its threshold, or `variant_conflict` says what contradicts."""

    posting_id: str
    score: float
    threshold: float
    views: tuple[str, ...]
    variant_conflict: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchAnswer:
    """Matches, best first; an empty list is an answer, and `best_rejected` tells "nothing there" from "cut off"."""

    matches: tuple[Match, ...]
    goal: Goal
    best_rejected: Rejected | None
    limit_reached: bool
    model: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class PostingAnswer:
    """
    A stored posting. `image_sha256` is of the picture's bytes as they were sent.

    `vectors`, where they were asked for, are exactly those that the index holds, which no more than half precision has.
    """

    posting_id: str
    title: str | None
    metadata: Mapping[str, JsonValue]
    views: tuple[str, ...]
    revision: int
    image_sha256: str | None
    created_at: datetime
    updated_at: datetime
    vectors: Mapping[str, tuple[float, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the listing; `next_cursor` is null on the last."""

    postings: tuple[PostingAnswer, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """What a write did; an unchanged posting keeps its revision. `matches` only where it was asked for."""

    posting_id: str
    revision: int
    created: bool
    changed: bool
    views: tuple[str, ...]
    matches: MatchAnswer | None = None


@dataclass(frozen=True, slots=True)
class BulkLine:
    """What became of one line of a bulk load; `line` counts from 1, `problem` is null where all went well."""

    line: int
    posting_id: str | None
    status: int
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether two postings count as one product, at one goal; `threshold` is null where they share no view."""

    same_product: bool
    threshold: float | None
    goal_supported: bool


@dataclass(frozen=True, slots=True)
class CompareAnswer:
    """`match` is b seen from a at the goal `balanced`, null where they share no view."""

    match: Match | None
    verdicts: Mapping[Goal, Verdict]
    model: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class EmbeddingsAnswer:
    """One unit vector per view that was sent."""

    vectors: Mapping[str, tuple[float, ...]]
    model: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the service decides with; thresholds and calibration are keyed by set of shared views."""

    encoder_id: str
    fingerprint: str
    views: tuple[str, ...]
    dimensions: Mapping[str, int]
    weights: Mapping[str, float]
    thresholds: Mapping[str, Mapping[Goal, GoalThreshold]]
    calibration: Mapping[str, Calibration]
    gallery_size: int
    metrics: Mapping[str, Mapping[str, float]]
    provenance: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LimitsAnswer:
    """What a call may hold; `rate` is null: no client is limited by a rate."""

    image_bytes: int = MAX_IMAGE_BYTES
    image_types: tuple[str, ...] = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/avif")
    image_side_pixels: tuple[int, ...] = (picture_header.MIN_SIDE, picture_header.MAX_SIDE)
    image_pixels: Mapping[str, int] = field(default_factory=lambda: MAX_PIXELS)
    title_code_points: int = MAX_TITLE_CODE_POINTS
    title_bytes: int = 4 * MAX_TITLE_CODE_POINTS
    metadata_bytes: int = schemas.MAX_METADATA_BYTES
    posting_id_bytes: int = MAX_ID_BYTES
    matches: int = schemas.MAX_MATCHES
    excluded_ids: int = schemas.MAX_EXCLUDED
    listed_postings: int = schemas.MAX_LISTED
    bulk_lines: int = schemas.MAX_LINES
    bulk_bytes: int = schemas.MAX_BULK_BYTES
    bulk_line_bytes: int = MAX_JSON_BYTES
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One finding about the process; `detail` is for people."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the service takes work; `status` is "ready", "degraded" (reads go on), "not ready" or "draining"."""

    ready: bool
    status: str
    checks: Mapping[str, Check]


def json_bytes(answer: object) -> bytes:
    """An answer as JSON."""
    return _adapter(type(answer)).dump_json(answer)  # type: ignore[arg-type]  # mypy holds classes for unhashable


def json_answer(answer: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """An answer as a JSON response."""
    return Response(json_bytes(answer), status, headers, "application/json")


@cache
def _adapter(answer: type) -> TypeAdapter[object]:
    return TypeAdapter(answer)
