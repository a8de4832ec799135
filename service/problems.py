"""Which error gets which status: one table, and the RFC 9457 documents made from it."""

import logging
import re
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


def _all(status: int, *kinds: type[Exception]) -> Mapping[type[Exception], Kind]:
    """These errors are answered by this status, each under its own name."""
    return {error: Kind(status, re.sub("(?<!^)(?=[A-Z])", "-", error.__name__).lower()) for error in kinds}


PROBLEMS: Mapping[type[Exception], Kind] = {
    **_all(400, errors.MalformedRequest, errors.MalformedJson, errors.MalformedHeader),
    **_all(400, errors.MalformedMultipart, errors.TruncatedMultipart, errors.TooManyParts),
    **_all(404, index.UnknownPosting, index.PictureNotKept),
    **_all(408, errors.BodyTooSlow),
    **_all(412, index.RevisionMismatch),
    **_all(413, errors.BodyTooLarge, bundle.ImageTooLarge),
    **_all(415, errors.UnsupportedMediaType, errors.UnsupportedEncoding, bundle.UnsupportedImageFormat),
    **_all(422, errors.InvalidRequest, errors.UnknownField, errors.DuplicateField),
    **_all(422, errors.TitleNotText, errors.FieldNotText, errors.ImageNotFile),
    **_all(422, errors.IdInvalid, errors.EmptyPosting, errors.EmptyBulk),
    **_all(422, bundle.ImageEmpty, bundle.ImageTruncated, bundle.ImageMalformed),
    **_all(422, bundle.ImageTooManyPixels, bundle.ImageTooSmall, bundle.ImageTooComplex),
    **_all(422, bundle.TitleEmpty, bundle.TitleTooLong, bundle.TitleInvalidUnicode, bundle.TitleControlCharacter),
    **_all(503, errors.Overloaded, errors.Draining, errors.WorkerDied, bundle.ModelFault, index.StorageFailed),
    **_all(504, errors.DeadlinePassed),
    index.CorruptRow: Kind(503, "storage-corrupt"),
    index.DatabaseDamaged: Kind(503, "storage-corrupt"),
    index.IndexClosed: Kind(503, "draining"),
    index.StorageFull: Kind(507, "insufficient-storage"),
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
