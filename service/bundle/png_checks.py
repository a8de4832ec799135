"""PNG before decoding: one walk over its chunks (W3C PNG, third edition)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS, MAX_PIXELS_COSTLY, PictureHeader, check_size

MAX_PNG_CHUNKS = 50_000
MAX_METADATA_BYTES = 4 * 1024 * 1024

_SIGNATURE_BYTES = 8
_IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_COLOUR_AT = _SIGNATURE_BYTES + 8 + 9
_INDEXED = 3
_COLOURS_WITH_ALPHA = (4, 6)
_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf"})
# Everything else after IHDR is dropped: metadata, private chunks, later frames, and a second IHDR of another size.
_ESSENTIAL = frozenset({b"PLTE", b"tRNS", b"IDAT"})


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk from its length at `start`; its payload is data[start + 8:end], and its checksum follows."""

    kind: bytes
    start: int
    end: int


def check_png(data: bytes) -> PictureHeader:
    """
    Check size, chunks and the decoded size of metadata; keep no metadata but the EXIF block.

    Raises ImageTooManyPixels, ImageTooSmall, ImageTooComplex, ImageTruncated, ImageMalformed.
    """
    chunks = _chunks(data)
    width, height, max_pixels = _check_header(data, next(chunks, None))
    wanted = {b"IDAT", b"PLTE"} if data[_COLOUR_AT] == _INDEXED else {b"IDAT"}
    kept = [data[: _SIGNATURE_BYTES + 25]]
    pixels: list[_Chunk] = []
    metadata_bytes = 0
    exif = b""
    for chunk in chunks:
        wanted.discard(chunk.kind)
        if chunk.kind in _METADATA:
            metadata_bytes += _decoded_bytes(data, chunk, MAX_METADATA_BYTES - metadata_bytes)
            if metadata_bytes > MAX_METADATA_BYTES:
                raise ImageMalformed(f"expected at most {MAX_METADATA_BYTES} bytes of metadata, got more; strip them")
        if chunk.kind == b"eXIf":
            exif = data[chunk.start + 8 : chunk.end]
        elif chunk.kind == b"tRNS":
            max_pixels = MAX_PIXELS_COSTLY
        elif chunk.kind == b"IDAT":
            pixels.append(chunk)
        if chunk.kind in _ESSENTIAL:
            kept.append(data[chunk.start : chunk.end + 4])
    if wanted:
        raise ImageMalformed("expected a PNG with pixels and their palette, got one without; export the picture again")
    check_size(width, height, max_pixels)
    _check_pixels(data, pixels)
    return PictureHeader("PNG", width, height, b"".join([*kept, _IEND]), exif)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Every chunk before IEND. A cut after the last pixel, or junk there, ends the walk; a cut before is an error."""
    start = _SIGNATURE_BYTES
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
        yield _Chunk(kind, start, end)
        seen_pixels = seen_pixels or kind == b"IDAT"
        start = end + 4
    raise ImageTooComplex(f"expected at most {MAX_PNG_CHUNKS} PNG chunks, got more; export the picture again")


def _check_header(data: bytes, header: _Chunk | None) -> tuple[int, int, int]:
    """Width, height, and the limit on pixels as far as IHDR tells."""
    if header is None or header.kind != b"IHDR" or header.end - header.start != 8 + 13:
        raise ImageMalformed("expected a PNG that begins with IHDR of 13 bytes, got another; export it again")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, header.start + 8)
    if depth not in _DEPTHS.get(colour, ()):
        raise ImageMalformed(f"expected a depth that PNG allows, got {depth} bits for colour {colour}; export it again")
    max_pixels = MAX_PIXELS_COSTLY if depth == 16 or colour in _COLOURS_WITH_ALPHA else MAX_PIXELS
    check_size(width, height, max_pixels)
    return width, height, max_pixels


def _decoded_bytes(data: bytes, chunk: _Chunk, room: int) -> int:
    """How many bytes a chunk of metadata holds once inflated; counting stops above `room`. Garbage counts as sent."""
    payload = data[chunk.start + 8 : chunk.end]
    compressed = b""
    if chunk.kind in (b"zTXt", b"iCCP"):
        compressed = payload.partition(b"\x00")[2][1:]
    elif chunk.kind == b"iTXt" and (text := payload.partition(b"\x00")[2])[:1] == b"\x01":
        compressed = text[2:].partition(b"\x00")[2].partition(b"\x00")[2]
    try:
        return len(payload) + len(zlib.decompressobj().decompress(compressed, max(room, 0) + 1))
    except zlib.error:
        return len(payload)


def _check_pixels(data: bytes, pixels: list[_Chunk]) -> None:
    """
    Tell a wrong checksum over good data, which is accepted, from damaged data: Pillow looks at neither checksum.

    Only where a chunk's CRC is wrong is the stream inflated here, to reach its own checksum.
    """
    views = [memoryview(data)[chunk.start + 8 : chunk.end] for chunk in pixels]
    sums = [int.from_bytes(data[chunk.end : chunk.end + 4]) for chunk in pixels]
    if all(zlib.crc32(view, zlib.crc32(b"IDAT")) == crc for view, crc in zip(views, sums, strict=True)):
        return
    inflater = zlib.decompressobj()
    try:
        for view in views:
            inflater.decompress(view, 1 << 16)
            while inflater.unconsumed_tail:
                inflater.decompress(inflater.unconsumed_tail, 1 << 16)
    except zlib.error as exc:
        raise ImageMalformed("expected the PNG's pixels as they were written, got damaged ones; send it again") from exc
    if not inflater.eof:
        raise ImageTruncated("expected all of the PNG's pixels, got a part; send the whole file")
