"""Posting ids: what one may be, how one is taken from a path, and how a listing goes on after one."""

import base64
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from service.errors import Finding, IdInvalid

MAX_ID_BYTES = 128
# All that an id may be but its length in bytes, and whether it can have one: a lone surrogate has none.
ID_PATTERN = r"^(?!\.\.?$)[^\s/\x00-\x1f\x7f-\x9f]([^/\x00-\x1f\x7f-\x9f]*[^\s/\x00-\x1f\x7f-\x9f])?$"
_RULES = (
    f"expected a string of 1 to {MAX_ID_BYTES} bytes of UTF-8, without control characters, '/', spaces at an end or "
    "dots alone, got another; choose another id"
)


def check_id(value: object) -> str:
    """Return a posting id as it was sent: bytes decide, nothing is normalised. Raises IdInvalid."""
    if isinstance(value, str) and len(value) <= MAX_ID_BYTES and re.fullmatch(ID_PATTERN, value):
        with suppress(UnicodeEncodeError):
            if len(value.encode()) <= MAX_ID_BYTES:
                return value
    raise _invalid()


def path_id(request: Request) -> str:
    """The posting id of a path. Raises IdInvalid."""
    try:  # servers decode a path leniently: two paths that are not UTF-8 would name one id
        unquote_to_bytes(request.scope["raw_path"]).decode()
    except UnicodeDecodeError as exc:
        raise _invalid() from exc
    return check_id(request.path_params["posting_id"])


def cursor_of(posting_id: str) -> str:
    """
    The cursor that goes on after this posting.

    >>> cursor_of("MH01")
    'TUgwMQ'
    """
    return base64.urlsafe_b64encode(posting_id.encode()).decode().rstrip("=")


def check_cursor(value: object) -> str:
    """The id that a cursor was made from. Raises ValueError."""
    if isinstance(value, str) and 0 < len(value) <= 2 * MAX_ID_BYTES:
        with suppress(ValueError):
            posting_id = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
            if cursor_of(posting_id) == value:
                return posting_id
    raise ValueError("expected a cursor as next_cursor gave it")


def _invalid() -> IdInvalid:
    return IdInvalid(_RULES, [Finding("/posting_id", _RULES)])
