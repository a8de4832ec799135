"""The door for pictures: every row A1 to A27 of the reliability table gets what it says."""

import time
import tracemalloc

import pytest
from PIL import AvifImagePlugin, ImageFile

from service.bundle.errors import (
    ImageMalformed,
    ImageTooComplex,
    ImageTooManyPixels,
    ImageTruncated,
    UnsupportedImageFormat,
)
from service.bundle.picture import decode_picture
from service.bundle.picture_checks import check_picture
from tests.bundle.odd_pictures import OddPicture, accepted_pictures, avif, jpeg, large_jpeg, plain_png, refused_pictures
from tests.bundle.picture_bytes import encode, exif_block, flat_jpeg, gif, idat, photo, png, replaced, segment

HOSTILE_ROWS = {"A5", "A6", "A7", "A8", "A9", "A10"}


@pytest.mark.parametrize("odd", refused_pictures(), ids=str)
def test_a_refused_picture_gets_its_error_and_advice(odd: OddPicture) -> None:
    """Every refusal is one of the errors promised; its message says what was expected, what came, and what to do."""
    with pytest.raises(odd.refusals, match=r"^expected .+, got .+; .+$"):
        decode_picture(odd.build(), decode_side=256)


@pytest.mark.parametrize("odd", accepted_pictures(), ids=str)
def test_an_odd_but_sound_picture_is_decoded(odd: OddPicture) -> None:
    """Every picture that the table accepts becomes RGB pixels of the size that its header said."""
    data = odd.build()
    header = check_picture(data)
    picture = decode_picture(data, decode_side=20_000)
    assert picture.mode == "RGB"
    assert picture.size == (header.width, header.height)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        (name, odd)
        for odd in refused_pictures()
        for key, name in (("heic", "HEIC"), ("jpeg-xl", "JPEG XL"), ("mp4", "MP4"))
        if odd.row == "A4" and odd.name.startswith(key)
    ],
    ids=str,
)
def test_formats_that_people_send_are_named(name: str, odd: OddPicture) -> None:
    """HEIC, JPEG XL and MP4 are refused by name, so that the sender knows what to convert."""
    with pytest.raises(UnsupportedImageFormat, match=f"got {name};"):
        check_picture(odd.build())


@pytest.mark.parametrize("odd", [odd for odd in refused_pictures() if odd.row in HOSTILE_ROWS], ids=str)
def test_a_bomb_is_refused_at_once_and_without_allocation(odd: OddPicture) -> None:
    """What is too large or too complex is refused within 100 ms of CPU and with less than 16 MiB of new memory."""
    data = odd.build()
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        with pytest.raises(odd.refusals):
            check_picture(data)
        seconds.append(time.thread_time() - start)
    tracemalloc.start()
    try:
        with pytest.raises(odd.refusals):
            check_picture(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert min(seconds) < 0.1
    assert peak_bytes < 16 << 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (flat_jpeg(64, 64, precision=12), "12-bit"),
        (flat_jpeg(64, 64, frame=0xC3), "lossless"),
        (flat_jpeg(64, 64, frame=0xC9), "arithmetic"),
        (png(64, 64, idat(64, 64), depth=3), "3 bits"),
        (png(64, 64, idat(64, 64)).replace(b"IHDR", b"IHDX"), "begins with IHDR"),
    ],
)
def test_what_the_bytes_tell_is_refused_before_decoding(data: bytes, message: str) -> None:
    """Kinds of JPEG and PNG that are never decoded are refused by the door itself, which names what they are."""
    with pytest.raises(ImageMalformed, match=message):
        check_picture(data)


def test_a_cut_jpeg_is_refused_before_decoding() -> None:
    """A JPEG without its end is known to be cut from its markers alone."""
    with pytest.raises(ImageTruncated):
        check_picture(large_jpeg()[:-100])


def test_flipped_bits_in_png_pixels_are_always_noticed() -> None:
    """A PNG with any one bit of its pixels flipped is refused; Pillow alone shows other pixels for one in five."""
    data = plain_png()
    start = data.index(b"IDAT") + 4
    for at in range(start, len(data) - 16, 37):
        flipped = replaced(data, at, bytes([data[at] ^ 1 << at % 8]))
        with pytest.raises((ImageMalformed, ImageTruncated)):
            check_picture(flipped)


def test_truncated_pictures_are_never_completed() -> None:
    """Pillow's switch that fills missing pixels with grey stays off."""
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_pillow_sees_no_metadata() -> None:
    """Comments, EXIF, XMP and colour profiles are gone from what is decoded; the orientation is kept beside it."""
    secret = b"made by a person who wants to stay unknown"
    plain = encode(photo(), "JPEG", exif=exif_block(6), comment=secret)
    data = plain[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + secret) + plain[2:]
    header = check_picture(data)
    assert secret not in header.essence
    assert b"Exif" not in header.essence
    assert header.exif == exif_block(6)
    script = b"!\xfe" + bytes([len(secret)]) + secret + b"\x00"
    assert secret not in check_picture(gif(extensions=script)).essence


def test_scans_up_to_the_limit_are_accepted() -> None:
    """100 JPEG scans pass, 101 do not."""
    assert check_picture(flat_jpeg(64, 64, scans=100, frame=0xC2)).width == 64
    with pytest.raises(ImageTooComplex):
        check_picture(flat_jpeg(64, 64, scans=101, frame=0xC2))


def test_pixels_up_to_the_limit_are_accepted() -> None:
    """64 megapixels of baseline JPEG and 25 of progressive pass; one row of blocks more does not."""
    assert check_picture(flat_jpeg(8_000, 8_000)).height == 8_000
    assert check_picture(flat_jpeg(5_000, 5_000, frame=0xC2)).height == 5_000
    for data in (flat_jpeg(8_000, 8_001), flat_jpeg(5_000, 5_001, frame=0xC2)):
        with pytest.raises(ImageTooManyPixels):
            check_picture(data)


def test_an_av1_stream_of_many_frames_is_too_complex() -> None:
    """An AVIF still whose stream holds hundreds of frames is refused: each would cost a whole decode."""
    data = bytearray(avif())
    start = data.index(b"mdat") + 4
    frames = b"\x32\x00" * ((len(data) - start) // 2)  # empty frame units
    data[start : start + len(frames)] = frames
    with pytest.raises(ImageTooComplex):
        check_picture(bytes(data))


def test_avif_needs_a_pillow_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Pillow was built without AVIF, an AVIF is an unsupported format, not a damaged picture."""
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(UnsupportedImageFormat, match="got AVIF"):
        check_picture(avif())


def test_a_second_picture_after_the_end_is_not_looked_at() -> None:
    """Whatever follows a JPEG's end, another JPEG included, is dropped."""
    assert check_picture(jpeg() + jpeg()).essence == check_picture(jpeg()).essence
