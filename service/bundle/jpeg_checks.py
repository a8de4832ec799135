"""JPEG before decoding: one walk over its markers (ITU-T T.81, annex B)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS, MAX_PIXELS_BASELINE_JPEG, PictureHeader, check_size

MAX_JPEG_SCANS = 100
MAX_JPEG_SEGMENTS = 2_000
MAX_JPEG_FILL_BYTES = 65_536

_SOF_BASELINE, _SOF_EXTENDED, _SOF_PROGRESSIVE = 0xC0, 0xC1, 0xC2
_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
_EOI, _SOS = 0xD9, 0xDA
_APP0, _APP1, _APP14, _COM = 0xE0, 0xE1, 0xEE, 0xFE
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
# JFIF and Adobe segments say how to read the colours; all other application segments and comments are metadata.
_METADATA = (frozenset(range(0xE0, 0xF0)) | {_COM}) - {_APP0, _APP14}

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker from its 0xFF at `start`; its payload is data[payload:end]."""

    marker: int
    start: int
    payload: int
    end: int


def check_jpeg(data: bytes) -> PictureHeader:
    """
    Check size, scans and segments; keep no metadata but the EXIF block. A phone's MPO is its first picture.

    Raises ImageTooManyPixels, ImageTooSmall, ImageTooComplex, ImageTruncated, ImageMalformed.
    """
    frame: _Segment | None = None
    first_scan: _Segment | None = None
    scans = 0
    exif = b""
    tables = [data[:2]]
    end = 0
    for segment in _segments(data):
        end = segment.end
        if segment.marker in _FRAMES:
            frame = segment
            _check_frame(data, frame)
        elif segment.marker == _SOS:
            scans += 1
            first_scan = first_scan or segment
            if scans > MAX_JPEG_SCANS:
                raise ImageTooComplex(f"expected at most {MAX_JPEG_SCANS} JPEG scans, got more; export it as baseline")
        elif segment.marker == _APP1 and not exif and data.startswith(b"Exif\x00\x00", segment.payload):
            exif = data[segment.payload : segment.end]
        if first_scan is None and segment.marker not in _METADATA:
            tables.append(data[segment.start : segment.end])
    if frame is None or first_scan is None or frame.start > first_scan.start:
        raise ImageMalformed("expected a JPEG frame and then a scan, got none; export the picture again")
    if data.find(b"\xff" * (MAX_JPEG_FILL_BYTES + 1), 0, end) >= 0:
        raise ImageTooComplex(f"expected at most {MAX_JPEG_FILL_BYTES} fill bytes in a row, got more; export it again")
    height, width = _size(data, frame)
    check_size(width, height, _max_pixels(data, frame, first_scan))
    return PictureHeader("JPEG", width, height, b"".join([*tables, data[first_scan.start : end]]), exif)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Every segment up to and including the end of the image; bytes between segments are skipped, as libjpeg does."""
    position = 2
    wanted = _MARKER
    for _ in range(MAX_JPEG_SEGMENTS):
        found = wanted.search(data, position)
        if found is None:
            raise ImageTruncated("expected a JPEG with its end, got one that stops before; send the whole file")
        marker, payload = data[found.end() - 1], found.end()
        if marker == _EOI:
            yield _Segment(marker, found.start(), payload, payload)
            return
        if marker in _STANDALONE:
            position = payload
            continue
        end = payload + int.from_bytes(data[payload : payload + 2])
        if end > len(data) or payload + 2 > len(data):
            raise ImageTruncated("expected a whole JPEG segment, got a part; send the whole file")
        if end < payload + 2:
            raise ImageMalformed("expected a JPEG segment of at least 2 bytes, got fewer; export the picture again")
        yield _Segment(marker, found.start(), payload + 2, end)
        position = end
        wanted = _MARKER_AFTER_SCAN if marker == _SOS else _MARKER
    raise ImageTooComplex(f"expected at most {MAX_JPEG_SEGMENTS} JPEG segments, got more; export the picture again")


def _check_frame(data: bytes, frame: _Segment) -> None:
    if frame.end - frame.payload < 6:
        raise ImageMalformed("expected a JPEG frame header of at least 6 bytes, got fewer; export the picture again")
    precision = data[frame.payload]
    if frame.marker not in (_SOF_BASELINE, _SOF_EXTENDED, _SOF_PROGRESSIVE) or precision != 8:
        raise ImageMalformed(
            "expected an 8-bit baseline or progressive JPEG with Huffman codes, got a lossless, hierarchical, "
            f"arithmetic or {precision}-bit one; export it as baseline"
        )


def _size(data: bytes, frame: _Segment) -> tuple[int, int]:
    """Height, width."""
    start = frame.payload + 1
    return int.from_bytes(data[start : start + 2]), int.from_bytes(data[start + 2 : start + 4])


def _max_pixels(data: bytes, frame: _Segment, first_scan: _Segment) -> int:
    """Row by row only where one scan holds all components; otherwise libjpeg keeps every coefficient in memory."""
    components, components_in_scan = data[frame.payload + 5], data[first_scan.payload : first_scan.payload + 1]
    whole = components_in_scan == bytes([components]) and frame.marker != _SOF_PROGRESSIVE
    return MAX_PIXELS_BASELINE_JPEG if whole else MAX_PIXELS
