"""PNG before decoding: one walk over its chunks (W3C PNG, third edition)."""

import re
import struct
import zlib
from collections.abc import Iterator

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS, MAX_PIXELS_COSTLY, Part, PictureHeader, check_size

MAX_PNG_CHUNKS = 50_000
MAX_METADATA_BYTES = 4 * 1024 * 1024

_HEADER_END = 8 + 25
_IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_INDEXED, _COLOURS_WITH_ALPHA = 3, (4, 6)
_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"})
# Everything else after IHDR is dropped: metadata, private chunks, later frames, and a second IHDR of another size.
_ESSENTIAL = frozenset({b"PLTE", b"tRNS", b"IDAT"})
# What stands before compressed data: a keyword, then in iTXt a flag, a method, a language and a translated keyword.
_BEFORE_COMPRESSED = re.compile(rb"[^\x00]*\x00(?:\x01.[^\x00]*\x00[^\x00]*\x00|\x00)", re.DOTALL)
_INFLATED_PIECE = 4096  # which holds at most 4 MiB


def check_png(data: bytes) -> PictureHeader:
    """Check size, chunks and the decoded size of metadata; keep no metadata but the EXIF block."""
    width, height, depth, colour = _read_header(data)
    check_size(width, height, MAX_PIXELS)
    essential: list[Part] = []
    metadata_bytes = 0
    exif = b""
    for chunk in _chunks(data):
        if chunk.kind in _ESSENTIAL:
            essential.append(chunk)
        elif chunk.kind in _METADATA:
            content = data[chunk.content : chunk.end]
            metadata_bytes += _decoded_bytes(content, MAX_METADATA_BYTES - metadata_bytes)
            if metadata_bytes > MAX_METADATA_BYTES:
                raise ImageMalformed(f"expected at most {MAX_METADATA_BYTES} bytes of metadata, got more; strip them")
            if chunk.kind == b"eXIf":
                exif = content
    kinds = {chunk.kind for chunk in essential}
    if b"IDAT" not in kinds or (colour == _INDEXED and b"PLTE" not in kinds):
        raise ImageMalformed("expected a PNG with pixels and their palette, got one without; export the picture again")
    if depth == 16 or colour in _COLOURS_WITH_ALPHA or b"tRNS" in kinds:
        check_size(width, height, MAX_PIXELS_COSTLY)
    _check_pixels(data, [chunk for chunk in essential if chunk.kind == b"IDAT"], 9 * width * height)
    kept = [data[chunk.start : chunk.end + 4] for chunk in essential]
    return PictureHeader("PNG", width, height, b"".join([data[:_HEADER_END], *kept, _IEND]), exif)


def _read_header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, depth, colour."""
    if len(data) < _HEADER_END:
        raise ImageTruncated("expected a PNG with its header, got one that stops before; send the whole file")
    length, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13:
        raise ImageMalformed("expected a PNG that begins with IHDR of 13 bytes, got another; export it again")
    if depth not in _DEPTHS.get(colour, ()):
        raise ImageMalformed(f"expected a depth that PNG allows, got {depth} bits for colour {colour}; export it again")
    return width, height, depth, colour


def _chunks(data: bytes) -> Iterator[Part]:
    """Every chunk up to IEND. A cut after the last pixel, or junk there, ends the walk; a cut before is an error."""
    start = _HEADER_END
    seen_pixels = False
    for _ in range(MAX_PNG_CHUNKS):
        kind = data[start + 4 : start + 8]
        end = start + 8 + int.from_bytes(data[start : start + 4])
        if kind == b"IEND" or (seen_pixels and kind != b"IDAT" and (end > len(data) or not kind.isalpha())):
            return
        if len(kind) < 4 or end > len(data):
            raise ImageTruncated("expected a PNG with its end, got one that stops before; send the whole file")
        if not kind.isalpha():
            raise ImageMalformed("expected PNG chunks named by four letters, got another name; export it again")
        yield Part(kind, start, start + 8, end)
        seen_pixels = seen_pixels or kind == b"IDAT"
        start = end + 4
    raise ImageTooComplex(f"expected at most {MAX_PNG_CHUNKS} PNG chunks, got more; export the picture again")


def _decoded_bytes(content: bytes, room: int) -> int:
    """How many bytes a chunk of metadata holds once inflated; counting stops above `room`. Garbage counts as sent."""
    before = _BEFORE_COMPRESSED.match(content)
    try:
        inflated = zlib.decompressobj().decompress(content[before.end() :], room + 1) if before else b""
    except zlib.error:
        inflated = b""
    return len(content) + len(inflated)


def _check_pixels(data: bytes, pixels: list[Part], most: int) -> None:
    """
    Tell a wrong checksum over good data, which is accepted, from damaged data: Pillow looks at neither checksum.

    Only where a chunk's CRC is wrong is the stream inflated here, to reach its own checksum; `most` bytes are enough.
    """
    sums = [int.from_bytes(data[chunk.end : chunk.end + 4]) for chunk in pixels]
    if sums == [zlib.crc32(data[chunk.start + 4 : chunk.end]) for chunk in pixels]:
        return
    stream = b"".join(data[chunk.content : chunk.end] for chunk in pixels)
    inflater = zlib.decompressobj()
    inflated_bytes = 0
    try:
        for at in range(0, len(stream), _INFLATED_PIECE):
            inflated_bytes += len(inflater.decompress(stream[at : at + _INFLATED_PIECE]))
            if inflated_bytes > most:
                raise ImageTooComplex("expected a PNG's pixels, got more than its size tells; export it again")
    except zlib.error as exc:
        raise ImageMalformed("expected the PNG's pixels as they were written, got damaged ones; send it again") from exc
    if not inflater.eof:
        raise ImageTruncated("expected all of the PNG's pixels, got a part; send the whole file")
