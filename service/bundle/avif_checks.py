"""AVIF before decoding: its boxes, and the sizes that its AV1 streams themselves claim (ISO 23008-12, AV1 5.5)."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import AvifImagePlugin

from service.bundle.errors import (
    ImageMalformed,
    ImageTooComplex,
    ImageTooManyPixels,
    ImageTruncated,
    UnsupportedImageFormat,
)
from service.bundle.picture_header import MAX_PIXELS_COSTLY, PictureHeader, check_size

MAX_AVIF_ITEMS = 1_000
MAX_AV1_FRAMES_PER_ITEM = 16

_SEQUENCE_HEADER = 1
_SEQUENCE_HEADER_BYTES = 128  # more than the fields read here can take, which is 99
_FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER = 3, 6, 7


@dataclass(frozen=True, slots=True)
class _Box:
    """A box named `kind`; its payload is data[start:end]."""

    kind: bytes
    start: int
    end: int


class _Reader:
    """Reads big-endian numbers one after another; running out raises IndexError."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def number(self, size: int) -> int:
        """The next `size` bytes as an unsigned number."""
        start, self.position = self.position, self.position + size
        if self.position > len(self._data):
            raise IndexError
        return int.from_bytes(self._data[start : self.position])


def check_avif(data: bytes) -> PictureHeader:
    """
    Check the sizes that boxes and AV1 streams claim: libavif decodes a stream first and compares it later.

    The essence is the still picture: an animation's track and the EXIF item are renamed so that libavif skips them
    (the orientation of an AVIF is in its own properties).

    Raises ImageTooManyPixels, ImageTooSmall, ImageTooComplex, ImageTruncated, ImageMalformed, and
    UnsupportedImageFormat where Pillow was built without AVIF.
    """
    if not AvifImagePlugin.SUPPORTED:
        raise UnsupportedImageFormat("expected JPEG, PNG, WebP or GIF, got AVIF; convert the picture")
    essence = bytearray(data)
    try:
        top = list(_boxes(data, 0, len(data)))
        for box in top:
            if box.kind == b"ftyp":
                essence[box.start : box.end] = data[box.start : box.end].replace(b"avis", b"avif")
            elif box.kind == b"moov":
                essence[box.start - 4 : box.start] = b"free"
        metas = [box for box in top if box.kind == b"meta"]
        if len(metas) != 1:
            raise ImageMalformed(f"expected an AVIF with one still picture, got {len(metas)}; export it again")
        meta = {box.kind: box for box in _boxes(data, metas[0].start + 4, metas[0].end)}
        width, height = _largest_extent(data, meta[b"iprp"])
        check_size(width, height, MAX_PIXELS_COSTLY)
        payloads = _payloads(data, meta)
        coded_pixels = 0
        for item, kind, offset in _items(data, meta[b"iinf"]):
            if kind == b"Exif":
                essence[offset : offset + 4] = b"skip"
            elif kind == b"av01":
                coded_pixels += _coded_pixels(payloads[item])
            elif kind == b"grid":
                _check_grid(payloads[item])
    except KeyError as exc:
        raise ImageMalformed("expected an AVIF with properties and items, got none; export it again") from exc
    except IndexError as exc:
        raise ImageTruncated("expected a whole AVIF, got a part; send the whole file") from exc
    if coded_pixels > 2 * MAX_PIXELS_COSTLY:  # the picture and its alpha
        raise ImageTooManyPixels(f"expected at most {2 * MAX_PIXELS_COSTLY} coded pixels, got more; shrink the picture")
    return PictureHeader("AVIF", width, height, bytes(essence))


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    for _ in range(MAX_AVIF_ITEMS):
        if start + 8 > end:
            return
        reader = _Reader(data, start)
        size, kind = reader.number(4), data[start + 4 : start + 8]
        reader.number(4)
        if size == 1:
            size = reader.number(8)
        box_end = start + size if size else end
        if box_end > end:
            raise IndexError
        if box_end < reader.position:
            raise ImageMalformed("expected an AVIF box with a size, got too small a one; export the picture again")
        yield _Box(kind, reader.position, box_end)
        start = box_end
    raise ImageTooComplex(f"expected at most {MAX_AVIF_ITEMS} AVIF boxes in a row, got more; export the picture again")


def _largest_extent(data: bytes, properties: _Box) -> tuple[int, int]:
    """Width and height of the largest `ispe`; there may be smaller ones, of tiles or thumbnails."""
    sizes = []
    for container in _boxes(data, properties.start, properties.end):
        if container.kind == b"ipco":
            for box in _boxes(data, container.start, container.end):
                if box.kind == b"ispe":
                    reader = _Reader(data, box.start + 4)
                    sizes.append((reader.number(4), reader.number(4)))
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _items(data: bytes, info: _Box) -> Iterator[tuple[int, bytes, int]]:
    """Id, type, and where the type stands, of every item."""
    count_size = 2 if data[info.start] == 0 else 4
    for box in _boxes(data, info.start + 4 + count_size, info.end):
        reader = _Reader(data, box.start)
        version = reader.number(4) >> 24
        item = reader.number(2 if version < 3 else 4)
        reader.number(2)
        offset = reader.position
        reader.number(4)
        yield item, data[offset : offset + 4], offset


def _payloads(data: bytes, meta: dict[bytes, _Box]) -> dict[int, bytes]:
    """The bytes of every item, by id; all together no longer than the file, so that none can be used many times."""
    location = meta[b"iloc"]
    reader = _Reader(data, location.start)
    version = reader.number(4) >> 24
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    payloads: dict[int, bytes] = {}
    total = 0
    for _ in range(reader.number(2 if version < 2 else 4)):
        item = reader.number(2 if version < 2 else 4)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(base_size)
        payload = bytearray()
        for _ in range(reader.number(2)):
            if version:
                reader.number(index_size)
            start, length = base + reader.number(offset_size), reader.number(length_size)
            if method == 1:
                start += meta[b"idat"].start
            if start + length > len(data):
                raise IndexError
            total += length
            if total > len(data) or length == 0:
                raise ImageTooComplex("expected AVIF items that each have bytes of their own; export the picture again")
            payload += data[start : start + length]
        payloads[item] = bytes(payload)
    return payloads


def _check_grid(payload: bytes) -> None:
    """A picture put together from tiles states its own size (ISO 23008-12, 6.6.2.3)."""
    size = 4 if payload[1] & 1 else 2
    reader = _Reader(payload, 4)
    check_size(reader.number(size), reader.number(size), MAX_PIXELS_COSTLY)


def _coded_pixels(stream: bytes) -> int:
    """The pixels of the largest frame that an AV1 stream announces; walks its units without decoding them."""
    pixels = 0
    frames = 0
    reader = _Reader(stream, 0)
    while reader.position < len(stream):
        header = reader.number(1)
        kind = header >> 3 & 15
        reader.number(header >> 2 & 1)
        size = _leb128(reader) if header & 2 else len(stream) - reader.position
        if kind == _SEQUENCE_HEADER:
            pixels = max(pixels, _sequence_pixels(stream[reader.position : reader.position + size]))
        elif kind in (_FRAME_HEADER, _FRAME, _REDUNDANT_FRAME_HEADER):
            frames += 1
            if frames > MAX_AV1_FRAMES_PER_ITEM:
                raise ImageTooComplex(f"expected at most {MAX_AV1_FRAMES_PER_ITEM} AV1 frames, got more; export again")
        reader.number(size)
    return pixels


def _leb128(reader: _Reader) -> int:
    value = 0
    for shift in range(0, 56, 7):
        byte = reader.number(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value


def _sequence_pixels(header: bytes) -> int:
    """Width times height of an AV1 sequence header (AV1 5.5.1). Raises ImageTooManyPixels, ImageMalformed."""
    bits = "".join(f"{byte:08b}" for byte in header[:_SEQUENCE_HEADER_BYTES].ljust(_SEQUENCE_HEADER_BYTES, b"\x00"))
    position = 4

    def read(count: int) -> int:
        nonlocal position
        position += count
        return int(bits[position - count : position], 2)

    if reduced := read(1):
        read(5)
    else:
        if read(1):
            raise ImageMalformed("expected an AV1 still picture, got one with the timing of a film; export it again")
        delays = read(1)
        for _ in range(read(5) + 1):
            read(12)
            if read(5) > 7:
                read(1)
            if delays and read(1):
                read(4)
    width_bits, height_bits = read(4) + 1, read(4) + 1
    width, height = read(width_bits) + 1, read(height_bits) + 1
    # A frame of the full syntax may replace the size by whatever fits these bits, up to twice each side if minimal.
    reach = width * height if reduced else 1 << width_bits + height_bits
    if width * height > MAX_PIXELS_COSTLY or reach > 4 * MAX_PIXELS_COSTLY:
        raise ImageTooManyPixels(
            f"expected an AV1 stream of at most {MAX_PIXELS_COSTLY} pixels, got {width} x {height} with room for "
            f"{reach}; shrink the picture"
        )
    return width * height
