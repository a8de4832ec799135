"""Which error gets which status: one table, and the RFC 9457 documents made from it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from index import errors as index_errors
from service import errors
from service.bundle import errors as bundle_errors
from service.errors import Finding

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem; `title` is the same for all of a type."""

    status: int
    slug: str
    title: str


PROBLEMS: Mapping[type[Exception], Kind] = {
    errors.MalformedRequest: Kind(400, "malformed-request", "The request is malformed"),
    errors.MalformedJson: Kind(400, "malformed-json", "The JSON is malformed"),
    errors.MalformedMultipart: Kind(400, "malformed-multipart", "The multipart body is malformed"),
    errors.TruncatedMultipart: Kind(400, "truncated-multipart", "The multipart body ends early"),
    errors.TooManyParts: Kind(400, "too-many-parts", "The multipart body has too many parts"),
    errors.MalformedHeader: Kind(400, "malformed-header", "A header is malformed"),
    errors.BodyTooSlow: Kind(408, "body-too-slow", "The body came too slowly"),
    errors.BodyTooLarge: Kind(413, "body-too-large", "The body is too large"),
    errors.UnsupportedMediaType: Kind(415, "unsupported-media-type", "The Content-Type is not accepted"),
    errors.UnsupportedEncoding: Kind(415, "unsupported-encoding", "The Content-Encoding is not accepted"),
    errors.InvalidRequest: Kind(422, "invalid-request", "The request is not usable"),
    errors.UnknownField: Kind(422, "unknown-field", "The request has a field that is not known"),
    errors.DuplicateField: Kind(422, "duplicate-field", "The request has a field twice"),
    errors.TitleNotText: Kind(422, "title-not-text", "The title is not a text field"),
    errors.FieldNotText: Kind(422, "field-not-text", "A field is not text"),
    errors.ImageNotFile: Kind(422, "image-not-file", "The picture is not a file part"),
    errors.IdInvalid: Kind(422, "id-invalid", "The posting id is not usable"),
    errors.EmptyPosting: Kind(422, "empty-posting", "Neither picture nor title"),
    errors.EmptyBulk: Kind(422, "empty-bulk", "The bulk request has no line"),
    errors.Overloaded: Kind(503, "overloaded", "Too much work is waiting"),
    errors.Draining: Kind(503, "draining", "The service is stopping"),
    errors.WorkerDied: Kind(503, "worker-died", "A worker died"),
    errors.DeadlinePassed: Kind(504, "deadline-passed", "The request's deadline passed"),
    bundle_errors.ImageEmpty: Kind(422, "image-empty", "The picture is empty"),
    bundle_errors.ImageTooLarge: Kind(413, "image-too-large", "The picture is too large"),
    bundle_errors.UnsupportedImageFormat: Kind(415, "unsupported-image-format", "The picture's format is not accepted"),
    bundle_errors.ImageTooManyPixels: Kind(422, "image-too-many-pixels", "The picture has too many pixels"),
    bundle_errors.ImageTooSmall: Kind(422, "image-too-small", "The picture is too small"),
    bundle_errors.ImageTruncated: Kind(422, "image-truncated", "The picture's data end early"),
    bundle_errors.ImageMalformed: Kind(422, "image-malformed", "The picture is malformed"),
    bundle_errors.ImageTooComplex: Kind(422, "image-too-complex", "The picture is too complex"),
    bundle_errors.TitleEmpty: Kind(422, "title-empty", "The title is blank"),
    bundle_errors.TitleTooLong: Kind(422, "title-too-long", "The title is too long"),
    bundle_errors.TitleInvalidUnicode: Kind(422, "title-invalid-unicode", "The title is not valid Unicode"),
    bundle_errors.TitleControlCharacter: Kind(422, "title-control-character", "The title has a control character"),
    bundle_errors.ModelFault: Kind(503, "model-fault", "The model gave no usable vector"),
    index_errors.UnknownPosting: Kind(404, "unknown-posting", "No such posting"),
    index_errors.PictureNotKept: Kind(404, "picture-not-kept", "No picture is kept of this posting"),
    index_errors.RevisionMismatch: Kind(412, "revision-mismatch", "The precondition is not met"),
    index_errors.CorruptRow: Kind(503, "storage-corrupt", "Stored data are damaged"),
    index_errors.DatabaseDamaged: Kind(503, "storage-corrupt", "Stored data are damaged"),
    index_errors.StorageFull: Kind(507, "insufficient-storage", "The disk is full"),
    index_errors.StorageFailed: Kind(503, "storage-failed", "The disk failed"),
    index_errors.IndexClosed: Kind(503, "draining", "The service is stopping"),
}
INTERNAL = Kind(500, "internal-error", "A bug in the service")
FRAMEWORK: Mapping[int, Kind] = {
    404: Kind(404, "unknown-path", "No such path"),
    405: Kind(405, "method-not-allowed", "The path does not take this method"),
}
_FRAMEWORK_DETAIL = {
    404: "expected a path of /openapi.json, got another; look there",
    405: "expected one of the methods in the Allow header, got another",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """
    A problem document (RFC 9457).

    `type` is stable; `detail` says, to people, what was expected, what came, and what to do; `errors` points at fields.
    """

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[Finding, ...]


def type_of(kind: Kind) -> str:
    """The stable URI of a problem type."""
    return f"urn:kembar:problem:{kind.slug}"


def kind_of(exc: Exception) -> Kind:
    """The type of problem that an error is; unknown errors are bugs."""
    if isinstance(exc, HTTPException):
        return FRAMEWORK.get(exc.status_code, INTERNAL)
    return next((PROBLEMS[ancestor] for ancestor in type(exc).__mro__ if ancestor in PROBLEMS), INTERNAL)


def problem_of(exc: Exception, request_id: str) -> Problem:
    """The document for an error; one that is the service's own fault is logged here, and nowhere else."""
    kind = kind_of(exc)
    if kind is INTERNAL:
        logger.error("unexpected error", exc_info=exc, extra={"request_id": request_id})
        detail = "This is a bug. Report it with the request id."
    else:
        if isinstance(exc, index_errors.IndexFault | bundle_errors.ModelFault) and kind.status >= 500:
            logger.error("fault", extra={"request_id": request_id, "problem": kind.slug, "reason": str(exc)})
        detail = _FRAMEWORK_DETAIL[kind.status] if isinstance(exc, HTTPException) else str(exc)
    findings = exc.findings if isinstance(exc, errors.InvalidRequest) else ()
    return Problem(type_of(kind), kind.title, kind.status, detail, request_id, findings)


def problem_response(exc: Exception, request_id: str) -> Response:
    """The answer to an error."""
    headers: dict[str, str] = {}
    problem = problem_of(exc, request_id)
    if isinstance(exc, HTTPException):
        headers.update(exc.headers or {})
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(exc.retry_after_s if isinstance(exc, errors.Unavailable) else 5)
    return JSONResponse(asdict(problem), problem.status, headers, MEDIA_TYPE)
