"""AVIF before decoding: its boxes, and the sizes that its AV1 streams themselves claim (ISO 23008-12, AV1 5.5)."""

import math
import struct
from collections.abc import Iterator

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTooManyPixels, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS_COSTLY, Part, PictureHeader, check_size
from service.bundle.reader import Reader

MAX_AVIF_ITEMS = 1_000
MAX_AV1_FRAMES_PER_ITEM = 16

_SEQUENCE_HEADER = 1
_FRAMES = (3, 6, 7)  # frame header, frame, redundant frame header


def check_avif(data: bytes) -> PictureHeader:
    """
    Check the sizes that boxes and AV1 streams claim: libavif decodes a stream first and compares it later.

    The essence is the still picture: an animation's track and the EXIF item are renamed so that libavif skips them
    (the orientation of an AVIF is in its own properties).
    """
    try:
        return _check_boxes(data)
    except KeyError as exc:
        raise ImageMalformed("expected an AVIF with properties and items, got none; export it again") from exc
    except (IndexError, struct.error) as exc:
        raise ImageTruncated("expected a whole AVIF, got a part; send the whole file") from exc


def _check_boxes(data: bytes) -> PictureHeader:
    essence = bytearray(data)
    metas = []
    for box in _boxes(data, 0, len(data)):
        if box.kind == b"ftyp":
            essence[box.content : box.end] = data[box.content : box.end].replace(b"avis", b"avif")
        elif box.kind == b"moov":
            essence[box.start + 4 : box.start + 8] = b"free"
        elif box.kind == b"meta":
            metas.append(box)
    if len(metas) != 1:
        raise ImageMalformed(f"expected an AVIF with one still picture, got {len(metas)}; export it again")
    meta = {box.kind: box for box in _boxes(data, metas[0].content + 4, metas[0].end)}
    width, height = _largest_extent(data, meta[b"iprp"])
    check_size(width, height, MAX_PIXELS_COSTLY)
    payloads = _payloads(data, meta)
    coded_pixels = 0
    for item, kind_at in _items(data, meta[b"iinf"]):
        kind = data[kind_at : kind_at + 4]
        if kind == b"Exif":
            essence[kind_at : kind_at + 4] = b"skip"
        elif kind == b"av01":
            coded_pixels += _coded_pixels(payloads[item])
        elif kind == b"grid":  # put together from tiles, it states its own size (ISO 23008-12, 6.6.2.3)
            grid_width, grid_height = struct.unpack_from(">II" if payloads[item][1] & 1 else ">HH", payloads[item], 4)
            check_size(grid_width, grid_height, MAX_PIXELS_COSTLY)
    if coded_pixels > 2 * MAX_PIXELS_COSTLY:  # the picture and its alpha
        raise ImageTooManyPixels(f"expected at most {2 * MAX_PIXELS_COSTLY} coded pixels, got more; shrink the picture")
    return PictureHeader("AVIF", width, height, bytes(essence))


def _boxes(data: bytes, start: int, end: int) -> Iterator[Part]:
    for _ in range(MAX_AVIF_ITEMS):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, content)
            content += 8
        box_end = start + size if size else end
        if box_end > end:
            raise IndexError
        if box_end < content:
            raise ImageMalformed("expected an AVIF box with a size, got too small a one; export the picture again")
        yield Part(kind, start, content, box_end)
        start = box_end
    raise ImageTooComplex(f"expected at most {MAX_AVIF_ITEMS} AVIF boxes in a row, got more; export the picture again")


def _largest_extent(data: bytes, properties: Part) -> tuple[int, int]:
    """Width and height of the largest `ispe`; there may be smaller ones, of tiles or thumbnails."""
    container = {box.kind: box for box in _boxes(data, properties.content, properties.end)}[b"ipco"]
    extents = [box for box in _boxes(data, container.content, container.end) if box.kind == b"ispe"]
    sizes = (struct.unpack_from(">II", data, box.content + 4) for box in extents)
    return max(sizes, key=math.prod, default=(0, 0))


def _items(data: bytes, info: Part) -> Iterator[tuple[int, int]]:
    """Id of every item, and where its type stands."""
    for box in _boxes(data, info.content + (8 if data[info.content] else 6), info.end):
        id_at = box.content + 4
        id_end = id_at + (2 if data[box.content] < 3 else 4)
        yield int.from_bytes(data[id_at:id_end]), id_end + 2


def _payloads(data: bytes, meta: dict[bytes, Part]) -> dict[int, bytes]:
    """The bytes of every item, by id; all together no longer than the file, so that none can be used many times."""
    reader = Reader(memoryview(data)[meta[b"iloc"].content :])
    version = reader.bits(32) >> 24
    offset_bits, length_bits, base_bits, index_bits = (8 * reader.bits(4) for _ in range(4))
    id_bits = 16 if version < 2 else 32
    payloads: dict[int, bytes] = {}
    total = 0
    for _ in range(reader.bits(id_bits)):
        item = reader.bits(id_bits)
        method = reader.bits(16) & 15 if version else 0
        reader.bits(16)  # which file: always this one
        base = reader.bits(base_bits) + (meta[b"idat"].content if method == 1 else 0)
        payload = bytearray()
        for _ in range(reader.bits(16)):
            if version:
                reader.bits(index_bits)
            start, length = base + reader.bits(offset_bits), reader.bits(length_bits)
            if start + length > len(data):
                raise IndexError
            total += length
            if total > len(data) or length == 0:
                raise ImageTooComplex("expected AVIF items that each have bytes of their own; export the picture again")
            payload += data[start : start + length]
        payloads[item] = bytes(payload)
    return payloads


def _coded_pixels(stream: bytes) -> int:
    """The pixels of the largest frame that an AV1 stream announces; walks its units without decoding them."""
    pixels = frames = 0
    reader = Reader(stream)
    while reader.left_bytes:
        reader.bits(1)
        kind, extended, sized = reader.bits(4), reader.bits(1), reader.bits(1)
        reader.bits(1 + 8 * extended)
        unit = reader.take(reader.varint() if sized else reader.left_bytes)
        if kind == _SEQUENCE_HEADER:
            pixels = max(pixels, _sequence_pixels(Reader(unit)))
        elif kind in _FRAMES:
            frames += 1
            if frames > MAX_AV1_FRAMES_PER_ITEM:
                raise ImageTooComplex(f"expected at most {MAX_AV1_FRAMES_PER_ITEM} AV1 frames, got more; export again")
    return pixels


def _sequence_pixels(header: Reader) -> int:
    """Width times height of an AV1 sequence header (AV1 5.5.1)."""
    header.bits(4)
    if reduced := header.bits(1):
        header.bits(5)
    else:
        if header.bits(1):
            raise ImageMalformed("expected an AV1 still picture, got one with the timing of a film; export it again")
        delays = header.bits(1)
        for _ in range(header.bits(5) + 1):
            header.bits(12)
            if header.bits(5) > 7:
                header.bits(1)
            if delays and header.bits(1):
                header.bits(4)
    width_bits, height_bits = header.bits(4) + 1, header.bits(4) + 1
    width, height = header.bits(width_bits) + 1, header.bits(height_bits) + 1
    # A frame of the full syntax may replace the size by whatever fits these bits, up to twice each side if minimal.
    reach = width * height if reduced else 1 << width_bits + height_bits
    if width * height > MAX_PIXELS_COSTLY or reach > 4 * MAX_PIXELS_COSTLY:
        raise ImageTooManyPixels(f"expected fewer AV1 pixels, got {width} x {height} with room for {reach}; shrink it")
    return width * height
