"""Pixels: upright, first frame, on white, of one size for equal pictures, and nothing else kept."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.bundle.errors import PostingError
from service.bundle.manifest import PictureSpec
from service.bundle.picture import decode_picture, picture_tensor, stored_picture, thumbnail
from tests.bundle.odd_pictures import accepted_pictures, interlaced_png, large_jpeg
from tests.bundle.picture_bytes import chunk, encode, exif_block, flat_jpeg, idat, photo, png

SPEC = PictureSpec(48, 80, 256, "none", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# How a picture is stored so that the orientation of the same number brings it upright: the inverse of EXIF's turn.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def tensor(data: bytes, decode_side: int = 256) -> NDArray[np.float64]:
    """The tensor of a file, ready for arithmetic."""
    return picture_tensor(decode_picture(data, decode_side), SPEC).astype(np.float64)


def close(one: NDArray[np.float64], other: NDArray[np.float64], levels: float = 2.0) -> bool:
    """Whether two tensors differ by at most so many of 255 levels on average."""
    return one.shape == other.shape and float(np.abs(one - other).mean()) <= levels


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(file_format: str, orientation: int) -> None:
    """A picture stored turned or mirrored, with the orientation that says so, gives the tensor of the upright one."""
    turn = STORED.get(orientation)
    stored = photo() if turn is None else photo().transpose(turn)
    upright = tensor(encode(photo(), "PNG"))
    assert close(tensor(encode(stored, file_format, exif=exif_block(orientation), quality=95)), upright)


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders(order: str) -> None:
    """EXIF of either byte order turns the picture."""
    data = encode(photo(), "JPEG", exif=exif_block(6, order))
    assert decode_picture(data, 256).size == (photo().height, photo().width)


@pytest.mark.parametrize(("orientation", "count"), [(0, 1), (9, 1), (99, 1), (6, 2), (6, 0xFFFFFFFF)])
def test_bad_orientation_is_ignored(orientation: int, count: int) -> None:
    """An orientation that EXIF does not know, or of another shape, leaves the picture as it is."""
    data = encode(photo(), "JPEG", exif=exif_block(orientation, count=count))
    assert tensor(data).tolist() == tensor(encode(photo(), "JPEG")).tolist()


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF", "MPO"])
def test_the_first_frame_counts(file_format: str) -> None:
    """An animation, and a phone's MPO, give the tensor of their first frame alone."""
    other = Image.new("RGB", photo().size, (255, 0, 0))
    data = encode(photo(), file_format, save_all=True, append_images=[other], quality=90)
    assert close(tensor(data), tensor(encode(photo(), "PNG")), levels=5)


def test_sixteen_bits_are_scaled() -> None:
    """Grey of 16 bits keeps its brightness: half of 65,535 becomes half of 255."""
    data = encode(Image.new("I;16", (64, 48), 32_896), "PNG")
    assert np.unique(tensor(data)).tolist() == [128.0]


def test_sixteen_bit_grey_may_have_a_clear_level() -> None:
    """The one grey that a 16-bit PNG declares transparent becomes white."""
    data = png(64, 64, chunk(b"tRNS", b"\x00\x00"), idat(64, 64, 2), depth=16)
    assert np.unique(tensor(data)).tolist() == [255.0]


@pytest.mark.parametrize(
    ("file_format", "decode_side"), [("PNG", 64), ("WEBP", 64), ("GIF", 64), ("PNG", 16), ("WEBP", 16)]
)
def test_transparency_shows_white(file_format: str, decode_side: int) -> None:
    """What is fully transparent is white, at full size and shrunk, whatever colour hides there."""
    hidden = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    data = encode(hidden, file_format, lossless=True, exact=True)
    assert np.unique(tensor(data, decode_side)).tolist() == [255.0]


def test_shrinking_weighs_colours_by_their_alpha() -> None:
    """Opaque blue beside hidden red, shrunk by two, is half blue and half white, without a trace of red's lack."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, ::2] = (0, 0, 255, 255)
    pixels[:, 1::2] = (255, 0, 0, 0)
    picture = decode_picture(encode(Image.fromarray(pixels), "PNG"), 32)
    assert picture.size == (32, 32)
    assert np.abs(np.asarray(picture, np.int16) - (127, 127, 255)).max() <= 1


def test_half_transparent_colours_blend_with_white() -> None:
    """Red at half alpha is pink: the exact blend, within rounding."""
    picture = decode_picture(encode(Image.new("RGBA", (32, 32), (200, 0, 40, 128)), "PNG"), 256)
    expected = np.array((200, 0, 40)) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(np.asarray(picture) - expected).max() <= 1


def test_interlaced_png_is_whole() -> None:
    """All seven passes of an interlaced PNG arrive."""
    assert np.unique(tensor(interlaced_png())).tolist() == [200.0]


@pytest.mark.parametrize(
    ("size", "decode_side", "expected"),
    [
        ((640, 480), 256, (640, 480)),
        ((640, 480), 240, (320, 240)),
        ((641, 480), 240, (321, 240)),
        ((640, 480), 160, (320, 240)),
        ((480, 2_000), 120, (120, 500)),
        ((2_100, 2_100), 256, (263, 263)),
        ((2_000, 2_000), 256, (500, 500)),
        ((200, 100), 512, (200, 100)),
    ],
)
def test_all_formats_shrink_alike(size: tuple[int, int], decode_side: int, expected: tuple[int, int]) -> None:
    """Pictures shrink by 2, 4 or 8 while the shorter side stays large enough; the format plays no part, none grows."""
    for file_format in ("JPEG", "PNG", "WEBP", "GIF"):
        assert decode_picture(encode(photo(*size), file_format), decode_side).size == expected


def test_shrunk_pixels_average_what_they_cover() -> None:
    """Shrinking a PNG by eight gives the mean of each 8 x 8 block, also where bands meet."""
    pixels = np.random.default_rng(4).integers(0, 256, (640, 512, 3), dtype=np.uint8)
    picture = decode_picture(encode(Image.fromarray(pixels), "PNG"), 64)
    means = pixels.reshape(80, 8, 64, 8, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(picture) - means).max() <= 0.5


def test_equal_bytes_give_equal_tensors() -> None:
    """Decoding twice gives the same pixels; the tensor is height x width x RGB."""
    first, second = (picture_tensor(decode_picture(large_jpeg(), 256), SPEC) for _ in range(2))
    assert first.dtype == np.uint8
    assert first.shape == (48, 80, 3)
    assert first.tobytes() == second.tobytes()


def test_the_whole_picture_is_squeezed_in() -> None:
    """Nothing is cropped: each corner of the tensor has the colour of its corner of the picture."""
    pixels = np.zeros((400, 100, 3), np.uint8)
    pixels[:40], pixels[-40:], pixels[:40, :20] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    squeezed = tensor(encode(Image.fromarray(pixels), "PNG"))
    assert squeezed[0, 0].tolist() == [0, 0, 255]
    assert squeezed[0, -1].tolist() == [255, 0, 0]
    assert squeezed[-1, 0].tolist() == [0, 255, 0]


def test_tensors_average_what_they_cover() -> None:
    """A chessboard of single pixels becomes grey: squeezing averages, it does not pick."""
    board = np.indices((480, 480)).sum(axis=0) % 2 * 255
    squeezed = tensor(encode(Image.fromarray(board.astype(np.uint8)), "PNG"), 512)
    assert np.abs(squeezed[4:-4, 4:-4] - 127.5).max() < 6


def test_stored_pictures_are_small_jpegs_without_metadata() -> None:
    """The kept picture is a JPEG of the promised longest side, without EXIF, profile or comment."""
    data = encode(photo(1_200, 800), "JPEG", exif=exif_block(1), comment=b"secret", icc_profile=b"profile" * 40)
    kept = stored_picture(decode_picture(data, 512), 512)
    with Image.open(io.BytesIO(kept)) as image:
        assert (image.format, image.size, sorted(image.info)) == (
            "JPEG",
            (512, 341),
            ["jfif", "jfif_density", "jfif_unit", "jfif_version"],
        )
    assert close(tensor(kept), tensor(data))


def test_stored_pictures_never_grow() -> None:
    """A picture smaller than the size to keep is kept at its own size."""
    kept = stored_picture(decode_picture(encode(photo(), "PNG"), 512), 512)
    assert decode_picture(kept, 512).size == photo().size


def test_kept_pictures_can_be_decoded_again() -> None:
    """However thin it was: for its thumbnail, and to be encoded anew."""
    kept = stored_picture(Image.new("RGB", (16, 4_000)), 512)
    assert decode_picture(kept, 512).size == (16, 512)
    assert decode_picture(thumbnail(kept, 256), 512).size == (16, 256)


def test_thumbnails_are_smaller_still() -> None:
    """A thumbnail's longest side is the one asked for, and it shows the same picture."""
    kept = stored_picture(photo(1_200, 800), 512)
    small = thumbnail(kept, 256)
    assert decode_picture(small, 512).size == (256, 170)
    assert close(tensor(small), tensor(kept))


def test_a_cut_jpeg_with_an_end_marker_is_a_known_gap() -> None:
    """A JPEG cut in the middle and closed again decodes to grey from there on: libjpeg only warns, and so it is."""
    data = large_jpeg()[: len(large_jpeg()) // 2] + b"\xff\xd9"
    assert np.ptp(np.asarray(decode_picture(data, 512))[-8:], axis=(0, 1)).max() <= 1


def test_large_photographs_are_shrunk_while_decoding() -> None:
    """A photograph of 50 megapixels comes out at an eighth of its sides."""
    assert decode_picture(flat_jpeg(8_000, 6_250), 512).size == (1_000, 782)


SEEDS = [data for odd in accepted_pictures() if len(data := odd.build()) < 20_000]


@st.composite
def mutated_pictures(draw: st.DrawFn) -> bytes:
    """A sound picture with bytes flipped, overwritten, removed, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 64))
        patch = draw(st.binary(max_size=8) | st.just(bytes(data[at : at + length])))
        data[at : at + draw(st.sampled_from([0, len(patch), length, len(data)]))] = patch
    return bytes(data)


@settings(max_examples=1_500, deadline=None, derandomize=True)
@given(mutated_pictures())
def test_damage_never_raises_anything_else(data: bytes) -> None:
    """However a picture is damaged, it is decoded or refused by one of our errors; no other exception, no warning."""
    try:
        picture = decode_picture(data, 64)
    except PostingError:
        return
    assert picture.mode == "RGB"
