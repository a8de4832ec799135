"""
What can go wrong between a request and its answer.

    ServiceError
    ├── MalformedRequest            400: breaks the rules of its format
    │   ├── MalformedJson, MalformedMultipart, TruncatedMultipart, TooManyParts, MalformedHeader
    ├── BodyTooSlow                 408
    ├── BodyTooLarge                413
    ├── UnsupportedMediaType        415
    │   └── UnsupportedEncoding     a compressed body
    ├── InvalidRequest              422: understood, but not usable
    │   ├── UnknownField, DuplicateField, TitleNotText, FieldNotText, ImageNotFile
    │   ├── IdInvalid, EmptyPosting, EmptyBulk
    ├── Unavailable                 503: not now
    │   ├── Overloaded, Draining, WorkerDied
    └── DeadlinePassed              504: the request's own

Messages give expected, got and what to do, and never quote the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a request; `pointer` is a JSON pointer (RFC 6901), empty for the whole document."""

    pointer: str
    detail: str


class ServiceError(Exception): ...


class MalformedRequest(ServiceError): ...


class MalformedJson(MalformedRequest): ...


class MalformedMultipart(MalformedRequest): ...


class TruncatedMultipart(MalformedRequest): ...


class TooManyParts(MalformedRequest): ...


class MalformedHeader(MalformedRequest): ...


class BodyTooSlow(ServiceError): ...


class BodyTooLarge(ServiceError): ...


class UnsupportedMediaType(ServiceError): ...


class UnsupportedEncoding(UnsupportedMediaType): ...


class InvalidRequest(ServiceError):
    """`findings` says where."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class UnknownField(InvalidRequest): ...


class DuplicateField(InvalidRequest): ...


class TitleNotText(InvalidRequest): ...


class FieldNotText(InvalidRequest): ...


class ImageNotFile(InvalidRequest): ...


class IdInvalid(InvalidRequest): ...


class EmptyPosting(InvalidRequest): ...


class EmptyBulk(InvalidRequest): ...


class Unavailable(ServiceError):
    """`retry_after_s` says when to come back."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable): ...


class Draining(Unavailable): ...


class WorkerDied(Unavailable): ...


class DeadlinePassed(ServiceError): ...
