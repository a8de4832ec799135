"""Request bodies: counted as they arrive, and JSON read without the leniencies of the standard parser."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.requests import Request

from service import errors

MAX_JSON_BYTES = 15_000_000  # a picture of 10 MiB as base64, a title, metadata
BODY_SECONDS = 30.0
MAX_DEPTH = 32
TOO_DEEP = f"expected at most {MAX_DEPTH} levels, got more; flatten the document"
_LENGTH = re.compile(r"[0-9]{1,18}")
MAX_MARKS = 20_000  # brackets, commas and colons; 1,000 ids to exclude beside 4 KB of metadata need fewer


def media_type(request: Request) -> str:
    """The Content-Type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_media_type(request: Request, *accepted: str) -> None:
    """Raises UnsupportedMediaType, UnsupportedEncoding."""
    if media_type(request) not in accepted:
        raise errors.UnsupportedMediaType(f"expected the Content-Type {' or '.join(accepted)}, got another or none")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise errors.UnsupportedEncoding("expected a body without Content-Encoding, got a compressed one")


def content_length(headers: Headers) -> int | None:
    """What the caller says will arrive; None where he does not. Raises MalformedHeader."""
    value = headers.get("content-length")
    if value is not None and not _LENGTH.fullmatch(value):
        raise errors.MalformedHeader("expected at most 18 digits as Content-Length, got something else")
    return None if value is None else int(value)


def too_large(max_bytes: int) -> errors.BodyTooLarge:
    """The refusal of a body beyond a limit."""
    return errors.BodyTooLarge(f"expected a body of at most {max_bytes} bytes, got more; send less")


async def chunks(request: Request, max_bytes: int, seconds: float = BODY_SECONDS) -> AsyncIterator[bytes]:
    """The body as it arrives, all of it within `seconds`. Raises BodyTooLarge, BodyTooSlow."""
    if (content_length(request.headers) or 0) > max_bytes:
        raise too_large(max_bytes)
    received = 0
    stream = aiter(request.stream())
    deadline = asyncio.get_running_loop().time() + seconds
    while (chunk := await next_chunk(stream, deadline)) is not None:
        received += len(chunk)
        if received > max_bytes:
            raise too_large(max_bytes)
        yield chunk


async def next_chunk(stream: AsyncIterator[bytes], deadline: float) -> bytes | None:
    """The next piece of a body, None at its end. Raises BodyTooSlow at `deadline` (loop time)."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(stream, None)
    except TimeoutError as exc:
        raise errors.BodyTooSlow(f"expected the body within {BODY_SECONDS:g} s; send it faster") from exc


def parse_json(raw: bytes) -> object:
    """Parse JSON strictly: UTF-8, no BOM, no key twice, finite numbers, integers of 64 bits. Raises MalformedJson."""
    try:
        text = raw.decode()
        # Before parsing: millions of small values take seconds and gigabytes, though the bytes are few.
        if sum(text.count(mark) for mark in "{[,:") > MAX_MARKS:
            raise errors.MalformedJson(f"expected at most {MAX_MARKS} brackets, commas and colons, got more")
        value: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=_finite_number,
            parse_constant=_finite_number,
        )
    except UnicodeDecodeError as exc:
        raise errors.MalformedJson("expected JSON in UTF-8, got bytes that are not; encode it as UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise errors.MalformedJson(f"expected JSON, got a fault at character {exc.pos}: {exc.msg}") from exc
    except RecursionError as exc:
        raise errors.MalformedJson(TOO_DEEP) from exc
    _require_shallow(value, MAX_DEPTH)
    return value


def _require_shallow(value: object, levels: int) -> None:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return
    if levels == 0:
        raise errors.MalformedJson(TOO_DEEP)
    for one in inner:
        _require_shallow(one, levels - 1)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise errors.MalformedJson("expected each key once in an object, got one twice; remove it")
    return members


def _whole_number(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (number := int(digits)) < 2**63:
        raise errors.MalformedJson("expected whole numbers of at most 64 bits, got a longer one; send it as a string")
    return number


def _finite_number(digits: str) -> float:
    number = float(digits)  # also NaN and Infinity, which JSON does not have
    if not math.isfinite(number):
        raise errors.MalformedJson("expected finite numbers, got NaN, Infinity or one beyond the range of a double")
    return number
