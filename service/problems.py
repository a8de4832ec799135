"""Which error gets which status: one table, and the RFC 9457 documents made from it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from index import errors as index
from service import errors
from service.bundle import errors as bundle
from service.errors import Finding

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem."""

    status: int
    slug: str

    @property
    def type(self) -> str:
        """The stable URI."""
        return f"urn:kembar:problem:{self.slug}"

    @property
    def title(self) -> str:
        """The same for all problems of a type."""
        return self.slug.replace("-", " ").capitalize()


PROBLEMS: Mapping[type[Exception], Kind] = {
    errors.MalformedRequest: Kind(400, "malformed-request"),
    errors.MalformedJson: Kind(400, "malformed-json"),
    errors.MalformedMultipart: Kind(400, "malformed-multipart"),
    errors.TruncatedMultipart: Kind(400, "truncated-multipart"),
    errors.TooManyParts: Kind(400, "too-many-parts"),
    errors.MalformedHeader: Kind(400, "malformed-header"),
    errors.BodyTooSlow: Kind(408, "body-too-slow"),
    errors.BodyTooLarge: Kind(413, "body-too-large"),
    errors.UnsupportedMediaType: Kind(415, "unsupported-media-type"),
    errors.UnsupportedEncoding: Kind(415, "unsupported-encoding"),
    errors.InvalidRequest: Kind(422, "invalid-request"),
    errors.UnknownField: Kind(422, "unknown-field"),
    errors.DuplicateField: Kind(422, "duplicate-field"),
    errors.TitleNotText: Kind(422, "title-not-text"),
    errors.FieldNotText: Kind(422, "field-not-text"),
    errors.ImageNotFile: Kind(422, "image-not-file"),
    errors.IdInvalid: Kind(422, "id-invalid"),
    errors.EmptyPosting: Kind(422, "empty-posting"),
    errors.EmptyBulk: Kind(422, "empty-bulk"),
    errors.Overloaded: Kind(503, "overloaded"),
    errors.Draining: Kind(503, "draining"),
    errors.WorkerDied: Kind(503, "worker-died"),
    errors.DeadlinePassed: Kind(504, "deadline-passed"),
    bundle.ImageEmpty: Kind(422, "image-empty"),
    bundle.ImageTooLarge: Kind(413, "image-too-large"),
    bundle.UnsupportedImageFormat: Kind(415, "unsupported-image-format"),
    bundle.ImageTooManyPixels: Kind(422, "image-too-many-pixels"),
    bundle.ImageTooSmall: Kind(422, "image-too-small"),
    bundle.ImageTruncated: Kind(422, "image-truncated"),
    bundle.ImageMalformed: Kind(422, "image-malformed"),
    bundle.ImageTooComplex: Kind(422, "image-too-complex"),
    bundle.TitleEmpty: Kind(422, "title-empty"),
    bundle.TitleTooLong: Kind(422, "title-too-long"),
    bundle.TitleInvalidUnicode: Kind(422, "title-invalid-unicode"),
    bundle.TitleControlCharacter: Kind(422, "title-control-character"),
    bundle.ModelFault: Kind(503, "model-fault"),
    index.UnknownPosting: Kind(404, "unknown-posting"),
    index.PictureNotKept: Kind(404, "picture-not-kept"),
    index.RevisionMismatch: Kind(412, "revision-mismatch"),
    index.CorruptRow: Kind(503, "storage-corrupt"),
    index.DatabaseDamaged: Kind(503, "storage-corrupt"),
    index.StorageFull: Kind(507, "insufficient-storage"),
    index.StorageFailed: Kind(503, "storage-failed"),
    index.IndexClosed: Kind(503, "draining"),
}
INTERNAL = Kind(500, "internal-error")
FULL = HTTPStatus.INSUFFICIENT_STORAGE  # logged once by the index, not at every refused write
FRAMEWORK: Mapping[int, tuple[Kind, str]] = {
    404: (Kind(404, "unknown-path"), "expected a path of /openapi.json, got another"),
    405: (Kind(405, "method-not-allowed"), "expected a method of the Allow header, got another"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457); `detail` is for people, `errors` points at fields."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[Finding, ...]


def kind_of(exc: Exception) -> Kind:
    """The type of problem that an error is; unknown errors are bugs."""
    if isinstance(exc, HTTPException):
        return FRAMEWORK.get(exc.status_code, (INTERNAL, ""))[0]
    return next((PROBLEMS[ancestor] for ancestor in type(exc).__mro__ if ancestor in PROBLEMS), INTERNAL)


def problem_of(exc: Exception, request_id: str) -> Problem:
    """The document for an error; one that is the service's own fault is logged here, and nowhere else."""
    kind, detail = kind_of(exc), str(exc)
    if kind is INTERNAL:
        logger.error("unexpected error", exc_info=exc, extra={"request_id": request_id})
        detail = "This is a bug. Report it with the request id."
    elif isinstance(exc, HTTPException):
        detail = FRAMEWORK[exc.status_code][1]
    elif isinstance(exc, index.IndexFault | bundle.ModelFault) and kind.status >= 500 and kind.status != FULL:
        logger.error("fault", extra={"request_id": request_id, "problem": kind.slug, "reason": detail})
    findings = exc.findings if isinstance(exc, errors.InvalidRequest) else ()
    return Problem(kind.type, kind.title, kind.status, detail, request_id, findings)


def problem_response(exc: Exception, request_id: str) -> Response:
    """The answer to an error."""
    problem = problem_of(exc, request_id)
    headers = dict(exc.headers or {}) if isinstance(exc, HTTPException) else {}
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(exc.retry_after_s if isinstance(exc, errors.Unavailable) else 5)
    return JSONResponse(asdict(problem), problem.status, headers, MEDIA_TYPE)
