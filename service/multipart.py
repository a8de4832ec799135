"""The one reader of multipart/form-data: counts bytes as they arrive, keeps them in memory, refuses early."""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from service import errors
from service.bodies import chunks, content_length, require_media_type
from service.bundle.errors import ImageTooLarge, TitleInvalidUnicode
from service.bundle.picture_checks import MAX_IMAGE_BYTES

MAX_PARTS = 13  # one file and twelve fields
MAX_FIELD_BYTES = 256 * 1024  # 1,000 ids to exclude fit
MAX_FORM_BYTES = MAX_IMAGE_BYTES + 1024 * 1024
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 8 * 1024
MAX_PADDING_BYTES = 1024
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")

# Its warnings quote bytes of the body.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

PICTURE_TOO_LARGE = f"expected at most {MAX_IMAGE_BYTES} bytes, got more; send a smaller picture"
TOO_MANY_PARTS = f"expected at most {MAX_PARTS} parts, got more"


@dataclass(frozen=True, slots=True)
class Form:
    """What a form held: the bytes of the picture, if one was sent, and the text fields."""

    image: bytes | None
    fields: Mapping[str, str]


async def read_form(request: Request, names: Collection[str]) -> Form:
    """Read a multipart body. Raises UnsupportedMediaType, BodyTooLarge, BodyTooSlow, and what `FormReader` raises."""
    require_media_type(request, "multipart/form-data")
    if (content_length(request.headers) or 0) > MAX_FORM_BYTES:
        raise ImageTooLarge(PICTURE_TOO_LARGE)
    _, options = parse_options_header(request.headers["content-type"])
    reader = FormReader(options.get(b"boundary", b""), names)
    async for chunk in chunks(request, MAX_FORM_BYTES):
        reader.feed(chunk)
    return reader.finish()


class FormReader:
    """
    Push bytes with `feed`, take the form from `finish`; the result does not depend on how the body is cut.

    Raises MalformedMultipart, TruncatedMultipart, TooManyParts where the framing is wrong; ImageTooLarge, BodyTooLarge
    before more is kept; InvalidRequest and TitleInvalidUnicode where a field is.
    """

    def __init__(self, boundary: bytes, names: Collection[str]) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise errors.MalformedMultipart("expected a boundary of 1 to 70 characters, got another")
        self._names = names
        self._parts: dict[str, bytearray] = {}
        self._part: bytearray | None = None
        self._fault: errors.InvalidRequest | None = None
        self._count = self._padding = 0
        self._begun = self._ended = False
        self._delimiter, self._delimiters = b"\r\n--" + boundary, 0
        self._headers: list[tuple[bytearray, bytearray]] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": lambda: self._headers.append((bytearray(), bytearray())),
                "on_header_field": lambda data, start, end: self._headers[-1][0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._headers[-1][1].extend(data[start:end]),
                "on_headers_finished": self._end_headers,
                "on_part_data": self._take,
                "on_end": self._end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._ended:
            self._pad(len(chunk))
            return
        # Each that is none costs the parser a walk byte by byte.
        self._delimiters += chunk.count(self._delimiter)
        if self._delimiters > 2 * MAX_PARTS:
            raise errors.TooManyParts(TOO_MANY_PARTS)
        if not self._begun:
            stripped = chunk.lstrip(b"\r\n")
            self._pad(len(chunk) - len(stripped))
            self._begun, chunk = bool(stripped), stripped
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise errors.MalformedMultipart("expected multipart/form-data, got a fault in its framing") from exc

    def finish(self) -> Form:
        """The form, once all bytes are in."""
        if not self._ended:
            raise errors.TruncatedMultipart("expected a closing boundary, got the end of the body; send all of it")
        if self._fault is not None:
            raise self._fault
        image = self._parts.pop("image", None)
        fields = {name: _text(name, raw) for name, raw in self._parts.items()}
        return Form(None if image is None else bytes(image), fields)

    def _pad(self, size: int) -> None:
        self._padding += size
        if self._padding > MAX_PADDING_BYTES:
            raise errors.MalformedMultipart(f"expected at most {MAX_PADDING_BYTES} bytes around the parts, got more")

    def _begin_part(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise errors.TooManyParts(TOO_MANY_PARTS)
        self._part, self._headers = None, []

    def _end_headers(self) -> None:
        found = [bytes(value) for name, value in self._headers if name.lower() == b"content-disposition"]
        kind, options = parse_options_header(found[0] if len(found) == 1 else None)
        if kind != b"form-data" or b"name" not in options:
            raise errors.MalformedMultipart("expected one Content-Disposition in each part, of form-data, with a name")
        name = options[b"name"].decode("latin-1")
        fault = self._misfit(name, is_file=b"filename" in options)
        if fault is None:
            self._part = self._parts[name] = bytearray()
        # The rest is still read: whether the framing is right is told before what is wrong with a field.
        self._fault = self._fault or fault

    def _misfit(self, name: str, *, is_file: bool) -> errors.InvalidRequest | None:
        if name not in self._names:
            return errors.UnknownField(f"expected the fields {', '.join(sorted(self._names))}, got another")
        at = [errors.Finding(f"/{name}", "see detail")]
        if name in self._parts:
            return errors.DuplicateField(f"expected {name} once, got it again; send it once", at)
        if name == "image":
            return None if is_file else errors.ImageNotFile("expected image as a file part, got a text field", at)
        if is_file:
            kind = errors.TitleNotText if name == "title" else errors.FieldNotText
            return kind(f"expected {name} as a text field, got a file part; leave the filename out", at)
        return None

    def _end(self) -> None:
        self._ended = True

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._part is None:
            return
        self._part += data[start:end]
        if self._part is self._parts.get("image"):
            if len(self._part) > MAX_IMAGE_BYTES:
                raise ImageTooLarge(PICTURE_TOO_LARGE)
        elif len(self._part) > MAX_FIELD_BYTES:
            raise errors.BodyTooLarge(f"expected a text field of at most {MAX_FIELD_BYTES} bytes, got more")


def _text(name: str, raw: bytearray) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        message = f"expected {name} in UTF-8, got bytes that are not; encode it as UTF-8"
        if name == "title":
            raise TitleInvalidUnicode(message) from exc
        raise errors.FieldNotText(message, [errors.Finding(f"/{name}", message)]) from exc
