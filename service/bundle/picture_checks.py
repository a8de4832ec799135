"""The door for pictures: format by content, size and complexity from the bytes, before Pillow sees one of them."""

import re

from PIL import AvifImagePlugin

from service.bundle.avif_checks import check_avif
from service.bundle.errors import ImageEmpty, ImageTooLarge, UnsupportedImageFormat
from service.bundle.gif_checks import check_gif
from service.bundle.jpeg_checks import check_jpeg
from service.bundle.picture_header import PictureHeader
from service.bundle.png_checks import check_png
from service.bundle.webp_checks import check_webp

MAX_IMAGE_BYTES = 10 * 1024 * 1024

# The brand may stand first or among at most 16 compatible ones.
_AVIF = re.compile(rb"....ftyp(?:avi[fs]|....(?:....){1,16}?avi[fs])", re.DOTALL)
_ACCEPTED = (
    (re.compile(rb"\xff\xd8\xff"), check_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), check_png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), check_webp),
    (re.compile(rb"GIF8[79]a"), check_gif),
    (_AVIF, check_avif),
)
# Only to tell the sender what to convert; whatever is not above is refused, named here or not.
_NAMED = (
    (_AVIF, "AVIF, which this installation cannot read"),
    (re.compile(rb"....ftyp(?:he[iv][a-z]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftyp", re.DOTALL), "MP4"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL"),
)


def check_picture(data: bytes) -> PictureHeader:
    """
    Find the format by content and check what can be known without decoding; linear in the bytes, no large allocation.

    Raises ImageEmpty, ImageTooLarge, UnsupportedImageFormat, ImageTooManyPixels, ImageTooSmall, ImageTooComplex,
    ImageTruncated, ImageMalformed; so do the checks of the formats, one file each.
    """
    if not data:
        raise ImageEmpty("expected a picture, got 0 bytes; leave the picture out where there is none")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(f"expected at most {MAX_IMAGE_BYTES} bytes, got {len(data)}; send a smaller picture")
    for magic, check in _ACCEPTED:
        if magic.match(data) and (check is not check_avif or AvifImagePlugin.SUPPORTED):
            return check(data)
    name = next((name for magic, name in _NAMED if magic.match(data)), "another format")
    raise UnsupportedImageFormat(f"expected JPEG, PNG, WebP, GIF or AVIF, got {name}; convert the picture")
