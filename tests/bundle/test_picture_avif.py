"""AVIF's own dangers: what its boxes say and what its AV1 streams say need not agree."""

import struct
from collections.abc import Sequence

import pytest

from service.bundle.avif_checks import check_avif
from service.bundle.errors import ImageMalformed, ImageTooComplex, ImageTooManyPixels, ImageTruncated
from tests.bundle.odd_pictures import avif
from tests.bundle.picture_bytes import encode, photo


def box(kind: bytes, *payload: bytes) -> bytes:
    """One box."""
    return struct.pack(">I", 8 + sum(map(len, payload))) + kind + b"".join(payload)


def sequence_header(width: int, height: int, size_bits: int = 16, start: str = "000" + "1" + "1" + "00000") -> bytes:
    """An AV1 unit that announces a size; `start` is profile 0, still, reduced syntax and level 0."""
    bits = start + 2 * f"{size_bits - 1:04b}" + f"{width - 1:0{size_bits}b}{height - 1:0{size_bits}b}"
    payload = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8))
    return bytes([0x0A, len(payload)]) + payload


def avif_of(items: Sequence[tuple[bytes, bytes]], repeat: int = 1, size: tuple[int, int] = (64, 64)) -> bytes:
    """
    An AVIF of these items (type, bytes), as far as it is read before decoding; each extent is listed `repeat` times.
    """
    numbered = list(enumerate(items, start=1))
    infos = [box(b"infe", struct.pack(">IHH4sB", 2 << 24, number, 0, kind, 0)) for number, (kind, _) in numbered]
    properties = box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">III", 0, *size))))
    front = box(b"ftyp", b"avif\x00\x00\x00\x00avifmif1")
    inside = [box(b"iinf", struct.pack(">IH", 0, len(items)), *infos), properties]
    location_bytes = 8 + 8 + len(items) * (6 + 8 * repeat)
    offset = len(front) + 8 + 4 + sum(map(len, inside)) + location_bytes + 8
    entries = []
    for number, (_, payload) in numbered:
        extents = struct.pack(">II", offset, len(payload)) * repeat
        entries.append(struct.pack(">HHH", number, 0, repeat) + extents)
        offset += len(payload)
    location = box(b"iloc", struct.pack(">IHH", 0, 0x4400, len(items)), *entries)
    return front + box(b"meta", bytes(4), *inside, location) + box(b"mdat", *(payload for _, payload in items))


def test_a_plain_still_is_accepted() -> None:
    """The hand-made file of these tests is itself fine: what is refused below is refused for its own reason."""
    header = check_avif(avif_of([(b"av01", sequence_header(64, 64)), (b"av01", sequence_header(64, 64))]))
    assert (header.width, header.height) == (64, 64)


def test_a_stream_larger_than_its_box_is_refused() -> None:
    """What counts is the size that the AV1 stream will be decoded at, not only the one that the box declares."""
    with pytest.raises(ImageTooManyPixels, match="5000 x 5000"):
        check_avif(avif_of([(b"av01", sequence_header(5_000, 5_000))]))


def test_a_later_sequence_header_counts_too() -> None:
    """A second sequence header in the same stream cannot smuggle a larger size in."""
    with pytest.raises(ImageTooManyPixels, match="9000 x 9000"):
        check_avif(avif_of([(b"av01", sequence_header(64, 64) + sequence_header(9_000, 9_000))]))


def test_many_items_share_one_allowance() -> None:
    """Pictures and alpha of 16 megapixels each pass; a third one of the size, a tile perhaps, does not."""
    item = (b"av01", sequence_header(4_000, 4_000))
    assert check_avif(avif_of([item, item])).width == 64
    with pytest.raises(ImageTooManyPixels, match="coded pixels"):
        check_avif(avif_of([item, item, item]))


def test_a_frame_may_not_outgrow_its_sequence() -> None:
    """Full syntax lets a frame replace the size by anything that fits the size's bits: those are limited as well."""
    full = "000" + "0" + "0" + "0" + "0" + "00000" + "0" * 12 + "00000"
    assert check_avif(avif_of([(b"av01", sequence_header(64, 64, 6, full))])).width == 64
    with pytest.raises(ImageTooManyPixels, match=f"room for {1 << 32}"):
        check_avif(avif_of([(b"av01", sequence_header(64, 64, 16, full))]))


def test_films_are_refused() -> None:
    """A stream that carries the timing of a film is no still picture."""
    with pytest.raises(ImageMalformed, match="film"):
        check_avif(avif_of([(b"av01", sequence_header(64, 64, 6, "000" + "0" + "0" + "1"))]))


@pytest.mark.parametrize("payload", [struct.pack(">BBBBHH", 0, 0, 9, 9, 60_000, 60_000), b"\0\1\1\1" + b"\0\1\0\0" * 2])
def test_a_grid_is_as_large_as_it_says(payload: bytes) -> None:
    """A picture put together from tiles states its size itself, in 16 or 32 bits; it is held to the same limits."""
    with pytest.raises(ImageTooManyPixels):
        check_avif(avif_of([(b"grid", payload)]))


def test_items_have_bytes_of_their_own() -> None:
    """Bytes that many items or extents share are refused: small files could ask for much work."""
    with pytest.raises(ImageTooComplex):
        check_avif(avif_of([(b"av01", sequence_header(64, 64) + b"\x7a\xff\x01" + bytes(255))], repeat=50))


@pytest.mark.parametrize("kind", [b"iprp", b"iinf", b"iloc"])
def test_a_still_without_its_parts_is_malformed(kind: bytes) -> None:
    """Properties, items and their places must all be there."""
    with pytest.raises(ImageMalformed):
        check_avif(avif().replace(kind, b"free"))


def test_a_box_that_ends_outside_is_truncated() -> None:
    """A box that is longer than what holds it is a cut file."""
    with pytest.raises(ImageTruncated):
        check_avif(avif()[:-1])


def test_a_box_smaller_than_its_head_is_malformed() -> None:
    """A box that claims fewer bytes than its own size and name take is refused."""
    with pytest.raises(ImageMalformed, match="too small"):
        check_avif(avif() + b"\x00\x00\x00\x04free")


def test_an_animation_loses_its_track() -> None:
    """Of an animation only the still picture is decoded: its track is hidden, and its brand is that of a still."""
    animated = encode(photo(), "AVIF", speed=10, save_all=True, append_images=[photo().rotate(180)])
    essence = check_avif(animated).essence
    assert b"moov" in animated
    assert b"moov" not in essence
    assert b"avis" not in essence
