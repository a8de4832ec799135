"""What the checks of all picture formats share: the limits on size, the parts of a file, and what a check finds."""

from dataclasses import dataclass
from typing import NamedTuple

from service.bundle.errors import ImageMalformed, ImageTooManyPixels, ImageTooSmall

MIN_SIDE = 16
MAX_SIDE = 16_384
# Baseline JPEG is decoded row by row at reduced size; everything else is held whole.
MAX_PIXELS_BASELINE_JPEG = 64_000_000
MAX_PIXELS = 25_000_000
# Alpha and 16 bits double what is held; the WebP and AVIF decoders hold a picture four times over, whatever its kind.
MAX_PIXELS_COSTLY = 16_000_000


class Part(NamedTuple):  # a frozen dataclass takes twice as long to make, and a file may have 50,000
    """A segment, chunk or box named `kind`: it begins at data[start], and its content is data[content:end]."""

    kind: bytes
    start: int
    content: int
    end: int


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """
    What the bytes say before anything is decoded.

    `essence` is the file without metadata and later frames: all that Pillow gets to see. `exif` is the EXIF block of
    the formats whose essence has lost it (JPEG and PNG), empty where there is none.
    """

    format: str
    width: int
    height: int
    essence: bytes
    exif: bytes = b""


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageMalformed, ImageTooManyPixels or ImageTooSmall unless the picture may be decoded."""
    if min(width, height) <= 0:
        raise ImageMalformed("expected a picture with width and height, got a side of 0 pixels; export it again")
    if max(width, height) > MAX_SIDE or width * height > max_pixels:
        limits = f"sides of at most {MAX_SIDE} and {max_pixels} pixels in all"
        raise ImageTooManyPixels(f"expected {limits} of this kind of picture, got {width} x {height}; shrink it")
    if min(width, height) < MIN_SIDE:
        raise ImageTooSmall(f"expected sides of at least {MIN_SIDE} pixels, got {width} x {height}; send a larger one")
