"""What the service answers, as frozen models; fields that a newer service adds are ignored."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue


class Goal(StrEnum):
    """What the caller wants of the learned threshold."""

    PRECISION_99 = "precision_99"
    BALANCED = "balanced"
    RECALL_90 = "recall_90"


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Finding(_Answer):
    """One finding of a refused request; `pointer` is a JSON pointer to the field."""

    pointer: str = ""
    detail: str = ""


class Problem(_Answer):
    """An RFC 9457 problem document; `type` is stable and meant for programs, `detail` for people."""

    type: str = "about:blank"
    title: str = ""
    status: int
    detail: str = ""
    request_id: str | None = None
    errors: tuple[Finding, ...] = ()


class Evidence(_Answer):
    """
    How alike two postings are; `views` is what both have, and a score is None where one side lacks the view.

    `posting_id` is None where the other posting was sent along with a comparison.
    """

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
    metadata: dict[str, JsonValue]


class Match(Evidence):
    """One stored posting that shows the same product, with the evidence."""

    posting_id: str


class Rejected(_Answer):
    """The nearest posting that does not count: below its threshold, or `variant_conflict` says what contradicts."""

    posting_id: str
    score: float
    threshold: float
    views: tuple[str, ...]
    variant_conflict: tuple[str, ...]


class MatchAnswer(_Answer):
    """Matches, best first; an empty `matches` is an answer. `best_rejected` tells "nothing there" from "cut off"."""

    matches: tuple[Match, ...]
    goal: Goal
    best_rejected: Rejected | None
    limit_reached: bool
    model: str
    took_ms: float


class Posting(_Answer):
    """
    A stored posting. `image_sha256` is of the picture bytes as they were sent, None without a picture.

    `vectors` holds the unit vector of each view where a listing was asked for them.
    """

    posting_id: str
    title: str | None
    metadata: dict[str, JsonValue]
    views: tuple[str, ...]
    revision: int
    image_sha256: str | None
    created_at: datetime
    updated_at: datetime
    vectors: dict[str, tuple[float, ...]] | None


class PostingPage(_Answer):
    """One page of the listing; `next_cursor` is None on the last."""

    postings: tuple[Posting, ...]
    next_cursor: str | None


class Written(_Answer):
    """What a write did; an unchanged posting keeps its revision. `matches` is None where it was not asked for."""

    posting_id: str
    revision: int
    created: bool
    changed: bool
    views: tuple[str, ...]
    matches: MatchAnswer | None


class Matched(Written):
    """What a write did, and which others show the same product."""

    matches: MatchAnswer


class BulkAnswer(_Answer):
    """What became of one operation of a bulk load; `line` counts from 1. `problem` is None where it was done."""

    line: int
    posting_id: str | None
    status: int
    problem: Problem | None


class Verdict(_Answer):
    """Whether two postings count as one product, at one goal; `threshold` is None where they share no view."""

    same_product: bool
    threshold: float | None
    goal_supported: bool


class Comparison(_Answer):
    """How alike two postings are, None where they share no view, and the verdict at each goal."""

    match: Evidence | None
    verdicts: dict[str, Verdict]
    model: str
    took_ms: float


class Embeddings(_Answer):
    """One unit vector per view that was sent."""

    vectors: dict[str, tuple[float, ...]]
    model: str
    took_ms: float


class Check(_Answer):
    """One finding about the service; `detail` is for people."""

    ok: bool
    detail: str


class Readiness(_Answer):
    """Whether the service takes work; `status` is "ready", "degraded" (reads go on), "not ready" or "draining"."""

    ready: bool
    status: str
    checks: dict[str, Check]


class Threshold(_Answer):
    """
    The learned fused score of one goal, its 95 % interval, and the number of groups it was measured on.

    In a gallery ten times as large as `gallery_size` of the model card the score has to be higher by `per_tenfold`.
    """

    score: float
    low: float
    high: float
    groups: int
    supported: bool
    per_tenfold: float


class Calibration(_Answer):
    """Probability as a function of the fused score: linear between these knots, flat outside."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]


class ModelCard(_Answer):
    """What the service decides with. `thresholds` are keyed by view set ("image+title"), then by goal."""

    encoder_id: str
    fingerprint: str
    views: tuple[str, ...]
    dimensions: dict[str, int]
    weights: dict[str, float]
    thresholds: dict[str, dict[str, Threshold]]
    calibration: dict[str, Calibration]
    gallery_size: int
    metrics: dict[str, dict[str, float]]
    provenance: dict[str, str]


class Limits(_Answer):
    """What a call may hold; `rate` is None where no client is limited by a rate."""

    image_bytes: int
    image_types: tuple[str, ...]
    image_side_pixels: tuple[int, ...]
    image_pixels: dict[str, int]
    title_code_points: int
    title_bytes: int
    metadata_bytes: int
    posting_id_bytes: int
    matches: int
    excluded_ids: int
    listed_postings: int
    bulk_lines: int
    bulk_bytes: int
    bulk_line_bytes: int
    rate: int | None
