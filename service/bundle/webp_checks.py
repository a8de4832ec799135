"""WebP before decoding: its size, from whichever of the three kinds of first chunk it has (RFC 9649)."""

import struct

from service.bundle.errors import ImageMalformed, ImageTruncated
from service.bundle.picture_header import MAX_PIXELS_COSTLY, PictureHeader, check_size


def check_webp(data: bytes) -> PictureHeader:
    """Check size and completeness; libwebp itself refuses frames that leave their canvas."""
    if len(data) < 30:
        raise ImageTruncated(f"expected a WebP of at least 30 bytes, got {len(data)}; send the whole file")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageMalformed("expected a WebP that begins with VP8, VP8L or VP8X, got another; export it again")
    check_size(width, height, MAX_PIXELS_COSTLY)
    if (declared := struct.unpack_from("<I", data, 4)[0] + 8) > len(data):
        raise ImageTruncated(f"expected a WebP of {declared} bytes, got {len(data)}; send the whole file")
    return PictureHeader("WEBP", width, height, data)
