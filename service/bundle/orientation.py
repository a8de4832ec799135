"""Which way up a picture is, from its EXIF block."""

import struct

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def exif_orientation(exif: bytes) -> int:
    """
    Read the orientation from the first directory of an EXIF block; 1, upright, where it is missing or garbage.

    The standard knows 1 to 8; any other number that stands there is returned as it is.

    Written here because Pillow's own reader parses every tag, and raises or warns on bad ones (TIFF 6.0, section 2).
    """
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if (kind, count) == (_SHORT, 1) else 1
    except struct.error:
        return 1
    return 1
