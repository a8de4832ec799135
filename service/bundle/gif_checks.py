"""GIF before decoding: the way to its first frame, and no further (GIF89a specification)."""

import struct

from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTooManyPixels, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS, MAX_PIXELS_COSTLY, PictureHeader, check_size

MAX_GIF_BLOCKS = 50_000

_SCREEN_BYTES = 13
_EXTENSION, _FRAME, _CONTROL = 0x21, 0x2C, 0xF9


def check_gif(data: bytes) -> PictureHeader:
    """Check the screen and the first frame; keep no comment, no application data."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        check_size(width, height, MAX_PIXELS)
        palette_bytes = 3 << (flags & 7) + 1 if flags & 0x80 else 0
        frame, control = _first_frame(data, _SCREEN_BYTES + palette_bytes)
        left, top, frame_width, frame_height = struct.unpack_from("<HHHH", data, frame + 1)
    except (IndexError, struct.error) as exc:
        raise ImageTruncated("expected a GIF with a frame, got one that stops before; send the whole file") from exc
    if control and control[3] & 1:
        check_size(width, height, MAX_PIXELS_COSTLY)
    if left + frame_width > width or top + frame_height > height:
        raise ImageTooManyPixels("expected the GIF's first frame within its screen, got a larger one; export it again")
    return PictureHeader("GIF", width, height, b"".join([data[: _SCREEN_BYTES + palette_bytes], control, data[frame:]]))


def _first_frame(data: bytes, position: int) -> tuple[int, bytes]:
    """Offset of the first frame's descriptor, and the graphic control extension before it (empty without one)."""
    control = b""
    blocks = 0
    while data[position] == _EXTENSION:
        start = position
        position += 2
        while data[position]:
            position += 1 + data[position]
            blocks += 1
            if blocks > MAX_GIF_BLOCKS:
                raise ImageTooComplex(f"expected at most {MAX_GIF_BLOCKS} GIF blocks at first, got more; strip it")
        position += 1
        blocks += 1
        if data[start + 1] == _CONTROL and data[start + 2] >= 4:
            control = data[start:position]
    if data[position] != _FRAME:
        raise ImageMalformed("expected a GIF frame, got none; export the picture again")
    return position, control
