"""What a picture's bytes must fulfil before Pillow sees one of them."""

from dataclasses import dataclass

from service.bundle.errors import ImageEmpty, ImageTooLarge, UnsupportedImageFormat

MAX_IMAGE_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What the first bytes say: `format` is one of JPEG, PNG, WEBP, GIF and AVIF."""

    format: str


def check_picture(data: bytes) -> PictureHeader:
    """Find the format by content. Raises ImageEmpty, ImageTooLarge, UnsupportedImageFormat."""
    if not data:
        raise ImageEmpty("expected a picture, got 0 bytes; leave the picture out where there is none")
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(f"expected at most {MAX_IMAGE_BYTES} bytes, got {len(data)}; send a smaller picture")
    if data.startswith(b"\xff\xd8\xff"):
        return PictureHeader("JPEG")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PictureHeader("PNG")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return PictureHeader("WEBP")
    if data.startswith((b"GIF87a", b"GIF89a")):
        return PictureHeader("GIF")
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return PictureHeader("AVIF")
    raise UnsupportedImageFormat("expected JPEG, PNG, WebP, GIF or AVIF, got another format; convert the picture")
