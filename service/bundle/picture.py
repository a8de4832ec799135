"""From a picture's bytes to pixels, to the encoder's tensor, and to the small picture that is kept."""

import io
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.bundle.errors import ImageMalformed
from service.bundle.manifest import PictureSpec
from service.bundle.picture_checks import check_picture

STORED_QUALITY = 85

# Constructed directly: Image.open would let plugins of other formats, and JPEG's walk over MPO frames, see the bytes.
_READERS: Mapping[str, type[ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
}

_ORIENTATION_TAG = 0x0112
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
    Decode the first frame, upright, RGB, on white.

    A picture whose shorter side is at least twice `decode_side` is shrunk while decoding by 2, 4 or 8, so that the
    shorter side stays at least `decode_side`; nothing is ever enlarged. Equal bytes give equal pixels.

    Args:
        data: the file as it was sent.
        decode_side: pixels of the shorter side; from PictureSpec, so that adding and matching decode alike.

    Raises:
        ImageEmpty, ImageTooLarge, UnsupportedImageFormat, ImageTooManyPixels, ImageTooSmall, ImageTooComplex: from
            the bytes alone, before anything is decoded.
        ImageTruncated, ImageMalformed: the data do not hold the picture that they promise.
    """
    header = check_picture(data)
    try:
        image = _READERS[header.format](io.BytesIO(data))
        if isinstance(image, JpegImageFile):
            image.draft(None, (decode_side, decode_side))
        image.load()
        return _upright(_on_white(image, decode_side), image.info.get("exif", b""))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error) as exc:
        raise ImageMalformed(f"expected a readable {header.format} picture, got damaged data; export it again") from exc


def _on_white(image: Image.Image, decode_side: int) -> Image.Image:
    """RGB pixels, shrunk before compositing: by premultiplied colour, so that hidden colours never shine through."""
    if image.mode == "I;16":
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return _shrunk(image.convert("RGB"), decode_side)
    image = _shrunk(image.convert("RGBA"), decode_side)
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper byte of 16-bit grey, as Pillow itself does for 16-bit colour; `convert` would clip instead."""
    levels = np.asarray(image)
    grey = (levels >> 8).astype(np.uint8)
    if (transparent := image.info.get("transparency")) is not None:
        grey[levels == transparent] = 255
    return Image.fromarray(grey)


def _shrunk(image: Image.Image, decode_side: int) -> Image.Image:
    """What `draft` does for JPEG, for the others: the same factors by the same rule."""
    room = min(image.size) // decode_side
    factor = next(factor for factor in (8, 4, 2, 1) if room >= factor or factor == 1)
    return image if factor == 1 else image.reduce(factor)


def _upright(image: Image.Image, exif: bytes) -> Image.Image:
    turn = _TURNS.get(exif_orientation(exif))
    return image if turn is None else image.transpose(turn)


def exif_orientation(exif: bytes) -> int:
    """
    Read the orientation, 1 to 8, from the first directory of an EXIF block; 1 where it is missing or garbage.

    Written here because Pillow's own reader parses every tag and raises or warns on bad ones (TIFF 6.0, section 2).
    """
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for offset in range(directory + 2, min(directory + 2 + 12 * entries, len(tiff)), 12):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, offset)
            if tag == _ORIENTATION_TAG:
                return value if (kind, count) == (3, 1) and value in _TURNS else 1
    except struct.error:
        pass
    return 1


def picture_tensor(image: Image.Image, spec: PictureSpec) -> NDArray[np.uint8]:
    """
    Squeeze the whole picture into the encoder's input, averaging over what each new pixel covers.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    return np.array(image.resize((spec.width, spec.height), Image.Resampling.BILINEAR), dtype=np.uint8)


def stored_picture(image: Image.Image, longest_side: int) -> bytes:
    """Encode the picture to keep: JPEG without metadata, longest side at most `longest_side` pixels."""
    scale = min(1.0, longest_side / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    buffer = io.BytesIO()
    small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    small.save(buffer, "JPEG", quality=STORED_QUALITY)
    return buffer.getvalue()


def thumbnail(data: bytes, side: int) -> bytes:
    """Shrink a stored picture to at most `side` pixels on its longest side, as JPEG."""
    return stored_picture(decode_picture(data, side), side)
