"""From a picture's bytes to pixels, to the encoder's tensor, and to the small picture that is kept."""

import contextlib
import io
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from service.bundle.errors import ImageMalformed, ImageTruncated
from service.bundle.manifest import PictureSpec
from service.bundle.picture_checks import check_picture
from service.bundle.picture_header import MIN_SIDE, PictureHeader

STORED_QUALITY = 85
_BAND_PIXELS = 1 << 18

# Constructed directly: Image.open would let plugins of other formats, and JPEG's walk over MPO frames, see the bytes.
_READERS: Mapping[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # one picture, one core: its caller bounds how many are decoded at once

# What Pillow's five readers raise on damaged data; RuntimeError is the AVIF reader's.
_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, struct.error)

_ORIENTATION_TAG, _SHORT = 0x0112, 3
_TURNS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_picture(data: bytes, decode_side: int) -> Image.Image:
    """
    Decode the first frame: upright, RGB, on white. Equal bytes give equal pixels.

    A picture whose shorter side is at least twice `decode_side` is shrunk by 2, 4 or 8, JPEG while decoding and the
    others after, so that the shorter side stays at least `decode_side`; nothing is ever enlarged. A baseline JPEG that
    was cut and then closed by an end marker decodes to grey from there on: libjpeg only warns.

    Raises as `check_picture` does, and ImageTruncated or ImageMalformed where Pillow finds the rest missing or damaged.
    """
    picture, exif = _read(check_picture(data), decode_side)
    turn = _TURNS.get(_orientation(exif))
    return picture if turn is None else picture.transpose(turn)


def _read(header: PictureHeader, decode_side: int) -> tuple[Image.Image, bytes]:
    """The pixels as stored, and the EXIF block; Pillow's reader, which may hold more copies, is gone on return."""
    try:
        image = _READERS[header.format](io.BytesIO(header.essence))
        image.draft(None, (decode_side, decode_side))  # only JPEG's reader does anything here
        image.load()
    except _PILLOW_ERRORS as exc:
        if "truncated" in str(exc).lower():
            raise ImageTruncated(f"expected a whole {header.format} picture, got a part; send the whole file") from exc
        raise ImageMalformed(f"expected a readable {header.format} picture, got damaged data; export it again") from exc
    return _flattened(image, decode_side), header.exif or image.info.get("exif", b"")


def _orientation(exif: bytes) -> int:
    """
    The orientation in the first directory of an EXIF block; 1, upright, where it is missing or garbage.

    Written here because Pillow's own reader parses every tag, and raises or warns on bad ones (TIFF 6.0, section 2).
    """
    tiff = exif.removeprefix(b"Exif\x00\x00")
    with contextlib.suppress(KeyError, struct.error):
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if (kind, count) == (_SHORT, 1) else 1
    return 1


def _flattened(image: Image.Image, decode_side: int) -> Image.Image:
    """RGB on white, shrunk; in bands, so that no second picture of full size is ever held."""
    room = min(image.size) // decode_side
    factor = max(factor for factor in (1, 2, 4, 8) if factor <= max(room, 1))
    if factor == 1 and image.mode == "RGB" and not image.has_transparency_data:
        return image  # most JPEGs, which were shrunk while they were decoded
    flat = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    rows = max(_BAND_PIXELS // image.width // 8, 1) * 8  # a multiple of every factor, so that no block is split
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        flat.paste(_on_white(band, factor), (0, top // factor))
    return flat


def _on_white(band: Image.Image, factor: int) -> Image.Image:
    """Shrink, then composite: `reduce` averages premultiplied colours, so that hidden ones never shine through."""
    if band.mode == "I;16":
        band = _eight_bits(band)
    if not band.has_transparency_data:
        return band.convert("RGB").reduce(factor)
    colours = band.convert("RGBA").reduce(factor)
    white = Image.new("RGB", colours.size, (255, 255, 255))
    white.paste(colours, mask=colours.getchannel("A"))
    return white


def _eight_bits(band: Image.Image) -> Image.Image:
    """The upper byte of 16-bit grey, as Pillow itself takes it of 16-bit colour; `convert` would clip instead."""
    levels = np.asarray(band)
    grey = (levels >> 8).astype(np.uint8)
    if (transparent := band.info.get("transparency")) is not None:
        grey[levels == transparent] = 255
    return Image.fromarray(grey)


def picture_tensor(image: Image.Image, spec: PictureSpec) -> NDArray[np.uint8]:
    """Squeeze the whole picture into (height, width, 3) uint8 RGB, averaging over what each new pixel covers."""
    return np.asarray(image.resize((spec.width, spec.height), Image.Resampling.BILINEAR))


def stored_picture(image: Image.Image, longest_side: int) -> bytes:
    """Encode the picture to keep: JPEG without metadata, longest side at most `longest_side` pixels, none too small."""
    scale = min(1.0, longest_side / max(image.size))
    width, height = (max(MIN_SIDE, round(side * scale)) for side in image.size)  # or it could not be decoded again
    buffer = io.BytesIO()
    small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    small.save(buffer, "JPEG", quality=STORED_QUALITY)
    return buffer.getvalue()


def thumbnail(data: bytes, side: int) -> bytes:
    """Shrink a stored picture to at most `side` pixels on its longest side, as JPEG."""
    return stored_picture(decode_picture(data, side), side)
