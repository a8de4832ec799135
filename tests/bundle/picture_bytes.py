"""Pictures as bytes, whole or hand-made, out of which the odd ones are built."""

import functools
import io
import struct
import zlib
from collections.abc import Iterable, Sequence

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@functools.cache
def photo(width: int = 96, height: int = 64) -> Image.Image:
    """A picture without symmetry: three gradients, one a channel."""
    down = Image.linear_gradient("L")
    channels = (down, down.rotate(90), Image.radial_gradient("L"))
    return Image.merge("RGB", channels).resize((width, height))


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    """The picture in the format that Pillow calls `file_format`."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def exif_block(orientation: int, order: str = ">", count: int = 1) -> bytes:
    """An EXIF block with one tag, the orientation."""
    start = {">": b"MM\x00*", "<": b"II*\x00"}[order] + struct.pack(order + "I", 8)
    entry = struct.pack(order + "HHIHH", 0x0112, 3, count, orientation, 0)
    return b"Exif\x00\x00" + start + struct.pack(order + "H", 1) + entry + bytes(4)


def segment(marker: int, payload: bytes) -> bytes:
    """One JPEG segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def flat_jpeg(width: int, height: int, scans: int = 1, frame: int = 0xC0, precision: int = 8) -> bytes:
    """
    A grey JPEG written by hand, of any size in few bytes: each block is the two bits `DC 0, end of block`.

    With `frame` 0xC2 it is progressive, and every scan after the first is one of AC coefficients without any.
    """
    blocks = -(-width // 8) * -(-height // 8)
    parts = [
        b"\xff\xd8",
        segment(0xDB, b"\x00" + bytes([1] * 64)),
        segment(frame, struct.pack(">BHHB9B", precision, height, width, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0)),
        segment(0xC4, b"\x00\x01" + bytes(15) + b"\x00"),
    ]
    if frame == 0xC2:
        parts.append(segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0"))  # a run of up to 32,767 empty blocks
        parts.append(segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 0, 0])) + bytes(-(-3 * blocks // 8)))
        empty = bytes(-(-15 * (blocks // 16384 + 1) // 8))
        for scan in range(scans - 1):
            coefficient = 1 + scan // 3 % 63
            parts.append(segment(0xDA, bytes([1, 1 + scan % 3, 0, coefficient, coefficient, 0])) + empty)
    else:
        parts.append(segment(0xC4, b"\x10\x01" + bytes(15) + b"\x00"))
        parts.append(segment(0xDA, bytes([3, 1, 0, 2, 0, 3, 0, 0, 63, 0])) + bytes(-(-6 * blocks // 8)))
    return b"".join([*parts, b"\xff\xd9"])


def without_segments(jpeg: bytes, markers: Iterable[int]) -> bytes:
    """The JPEG without the header segments of these markers."""
    kept, position = [jpeg[:2]], 2
    while jpeg[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4])
        if jpeg[position + 1] not in markers:
            kept.append(jpeg[position:end])
        position = end
    return b"".join([*kept, jpeg[position:]])


def chunk(kind: bytes, payload: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of these chunks between IHDR and IEND."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"".join([PNG_SIGNATURE, header, *chunks, chunk(b"IEND", b"")])


def idat(width: int, height: int, samples: int = 1) -> bytes:
    """Black pixels, `samples` bytes each, made row by row."""
    deflater = zlib.compressobj(1)
    row = bytes(1 + width * samples)
    return chunk(b"IDAT", b"".join([*(deflater.compress(row) for _ in range(height)), deflater.flush()]))


def after_header(data: bytes, chunks: Sequence[bytes]) -> bytes:
    """A PNG with these chunks put in after IHDR."""
    return b"".join([data[:33], *chunks, data[33:]])


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    """The bytes with `new` written over them at an offset."""
    return data[:at] + new + data[at + len(new) :]


@functools.cache
def deflated_zeros(count: int) -> bytes:
    """So many zero bytes, compressed, without ever holding them."""
    deflater = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join([*(deflater.compress(block) for _ in range(count >> 20)), deflater.flush()])


def gif(frames: int = 1, frame_side: int = 16, left: int = 0, extensions: bytes = b"") -> bytes:
    """A black GIF of 16 x 16 whose one frame is repeated; the frame may claim another side or place."""
    still = encode(Image.new("L", (16, 16)), "GIF")
    start = still.index(b",\x00\x00\x00\x00\x10\x00\x10\x00")
    frame = replaced(still[start:-1], 1, struct.pack("<HHHH", left, 0, frame_side, frame_side))
    return still[:start] + extensions + frame * frames + b";"


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP that says only how large its canvas is."""
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + 8 + 10) + b"WEBPVP8X" + struct.pack("<I", 10) + canvas
