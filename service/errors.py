"""
What can go wrong between a request and its answer.

    ServiceError
    ├── MalformedRequest          400: framing, multipart, JSON, headers
    │   ├── MalformedJson, MalformedMultipart, TruncatedMultipart, TooManyParts, MalformedHeader
    ├── BodyTooSlow               408
    ├── BodyTooLarge              413
    ├── UnsupportedMediaType      415
    │   └── UnsupportedEncoding
    ├── InvalidRequest            422, with JSON pointers
    │   ├── UnknownField, DuplicateField, TitleNotText, FieldNotText, ImageNotFile
    │   ├── IdInvalid, EmptyPosting, EmptyBulk
    ├── Unavailable               503, come back later
    │   ├── Overloaded, Draining, WorkerDied
    └── DeadlinePassed            504

Messages give expected, got and what to do, and never quote the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a request; `pointer` is a JSON pointer (RFC 6901), empty for the whole document."""

    pointer: str
    detail: str


class ServiceError(Exception):
    """A request that is not answered as it was asked."""


class MalformedRequest(ServiceError):
    """The request breaks the rules of its format."""


class MalformedJson(MalformedRequest):
    """Not the JSON that is accepted here."""


class MalformedMultipart(MalformedRequest):
    """Not multipart/form-data by its rules."""


class TruncatedMultipart(MalformedRequest):
    """The body ended before its closing boundary."""


class TooManyParts(MalformedRequest):
    """More parts than any call takes."""


class MalformedHeader(MalformedRequest):
    """A header that cannot be understood."""


class BodyTooSlow(ServiceError):
    """The body did not arrive in time."""


class BodyTooLarge(ServiceError):
    """More bytes than accepted."""


class UnsupportedMediaType(ServiceError):
    """The Content-Type is not one that the call takes."""


class UnsupportedEncoding(UnsupportedMediaType):
    """The body is compressed."""


class InvalidRequest(ServiceError):
    """Understood, but not usable; `findings` says where."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class UnknownField(InvalidRequest):
    """A field that the call does not have."""


class DuplicateField(InvalidRequest):
    """A field that was sent twice."""


class TitleNotText(InvalidRequest):
    """The title came as a file part."""


class FieldNotText(InvalidRequest):
    """Another text field came as a file part, or is not UTF-8."""


class ImageNotFile(InvalidRequest):
    """The picture came as a text field."""


class IdInvalid(InvalidRequest):
    """A posting id that breaks the rules for ids."""


class EmptyPosting(InvalidRequest):
    """Neither picture nor title."""


class EmptyBulk(InvalidRequest):
    """A bulk request without a line."""


class Unavailable(ServiceError):
    """Not now; `retry_after_s` says when to come back."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """More work is waiting than can be done soon."""


class Draining(Unavailable):
    """The service is stopping."""


class WorkerDied(Unavailable):
    """The worker that held this request died; another one has started."""


class DeadlinePassed(ServiceError):
    """The request's own deadline passed."""
