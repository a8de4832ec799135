"""JPEG before decoding: one walk over its markers (ITU-T T.81, annex B)."""

import re
import struct
from collections.abc import Iterator

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS, MAX_PIXELS_BASELINE_JPEG, Part, PictureHeader, check_size

MAX_JPEG_SCANS = 100
MAX_JPEG_SEGMENTS = 2_000
MAX_JPEG_FILL_BYTES = 65_536

_PROGRESSIVE = b"\xff\xc2"
_DECODABLE_FRAMES = (b"\xff\xc0", b"\xff\xc1", _PROGRESSIVE)
_FRAMES = frozenset(bytes([0xFF, code]) for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
_SCAN, _END, _EXIF = b"\xff\xda", b"\xff\xd9", b"\xff\xe1"
# JFIF and Adobe segments say how to read the colours; all other application segments and comments are metadata.
_METADATA = frozenset(bytes([0xFF, code]) for code in (*range(0xE1, 0xEE), 0xEF, 0xFE))

_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")  # stuffing, fill bytes and restarts are none


def check_jpeg(data: bytes) -> PictureHeader:
    """Check size, scans and segments; keep no metadata but the EXIF block. A phone's MPO is its first picture."""
    segments = list(_segments(data))
    scans = [segment for segment in segments if segment.kind == _SCAN]
    frames = [segment for segment in segments if segment.kind in _FRAMES]
    if len(frames) != 1 or not scans or frames[0].start > scans[0].start:
        raise ImageMalformed("expected one JPEG frame and then a scan, got another order; export the picture again")
    if len(scans) > MAX_JPEG_SCANS:
        raise ImageTooComplex(f"expected at most {MAX_JPEG_SCANS} JPEG scans, got more; export it as baseline")
    first, end = scans[0], segments[-1].end
    if data.find(b"\xff" * (MAX_JPEG_FILL_BYTES + 1), 0, end) >= 0:
        raise ImageTooComplex(f"expected at most {MAX_JPEG_FILL_BYTES} fill bytes in a row, got more; export it again")
    width, height = _check_frame(data, frames[0], first)
    tables = [
        data[part.start : part.end] for part in segments if part.start < first.start and part.kind not in _METADATA
    ]
    app1 = (data[segment.content : segment.end] for segment in segments if segment.kind == _EXIF)
    exif = next((block for block in app1 if block.startswith(b"Exif\x00\x00")), b"")
    return PictureHeader("JPEG", width, height, b"".join([data[:2], *tables, data[first.start : end]]), exif)


def _segments(data: bytes) -> Iterator[Part]:
    """Every segment up to and including the end of the image; bytes between segments are skipped, as libjpeg does."""
    position = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            raise ImageTruncated("expected a JPEG with its end, got one that stops before; send the whole file")
        length_at = found.end()
        if found[0] == _END:
            yield Part(_END, found.start(), length_at, length_at)
            return
        position = length_at + int.from_bytes(data[length_at : length_at + 2])
        if max(position, length_at + 2) > len(data):
            raise ImageTruncated("expected a whole JPEG segment, got a part; send the whole file")
        if position < length_at + 2:
            raise ImageMalformed("expected a JPEG segment of at least 2 bytes, got fewer; export the picture again")
        yield Part(found[0], found.start(), length_at + 2, position)
    raise ImageTooComplex(f"expected at most {MAX_JPEG_SEGMENTS} JPEG segments, got more; export the picture again")


def _check_frame(data: bytes, frame: Part, first_scan: Part) -> tuple[int, int]:
    """Width, height."""
    if frame.end - frame.content < 6:
        raise ImageMalformed("expected a JPEG frame header of at least 6 bytes, got fewer; export the picture again")
    precision, height, width, components = struct.unpack_from(">BHHB", data, frame.content)
    if frame.kind not in _DECODABLE_FRAMES or precision != 8:
        raise ImageMalformed(
            f"expected a baseline or progressive JPEG of 8 bits, got a lossless, arithmetic or {precision}-bit one; "
            "export it as baseline"
        )
    # Row by row only where one scan holds all components; otherwise libjpeg keeps every coefficient in memory.
    whole = data[first_scan.content] == components and frame.kind != _PROGRESSIVE
    check_size(width, height, MAX_PIXELS_BASELINE_JPEG if whole else MAX_PIXELS)
    return width, height
