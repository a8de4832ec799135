"""Hostile and odd pictures, each with what it must get: the rows A1 to A27 of the reliability table."""

import base64
import functools
import gzip
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from service.bundle.errors import (
    ImageEmpty,
    ImageMalformed,
    ImageTooComplex,
    ImageTooLarge,
    ImageTooManyPixels,
    ImageTooSmall,
    ImageTruncated,
    PostingError,
    UnsupportedImageFormat,
)
from tests.bundle.picture_bytes import (
    after_header,
    chunk,
    deflated_zeros,
    encode,
    exif_block,
    flat_jpeg,
    gif,
    idat,
    photo,
    png,
    replaced,
    segment,
    webp_canvas,
    without_segments,
)

CUT = (ImageTruncated, ImageMalformed)


@dataclass(frozen=True, slots=True)
class OddPicture:
    """`row` of the table, a name, how to make the bytes, the errors of which one must come (none: it is accepted)."""

    row: str
    name: str
    build: Callable[[], bytes]
    refusals: tuple[type[PostingError], ...] = ()

    def __str__(self) -> str:
        return f"{self.row}-{self.name}"


def odd_pictures() -> list[OddPicture]:
    """All of them; building is left to the caller, because some are large."""
    return [*_no_pictures(), *_other_formats(), *_too_much(), *_damaged(), *_tolerated(), *_unusual()]


def accepted_pictures() -> list[OddPicture]:
    """Those that must be decoded."""
    return [odd for odd in odd_pictures() if not odd.refusals]


def refused_pictures() -> list[OddPicture]:
    """Those that must not."""
    return [odd for odd in odd_pictures() if odd.refusals]


@functools.cache
def jpeg() -> bytes:
    """A plain baseline JPEG."""
    return encode(photo(), "JPEG")


@functools.cache
def large_jpeg() -> bytes:
    """A baseline JPEG of which half the bytes are half the picture."""
    return encode(photo(640, 480), "JPEG")


@functools.cache
def plain_png() -> bytes:
    """A plain RGB PNG."""
    return encode(photo(), "PNG")


@functools.cache
def avif() -> bytes:
    """A plain AVIF."""
    return encode(photo(), "AVIF", speed=10)


def _no_pictures() -> Iterator[OddPicture]:
    yield OddPicture("A1", "empty", bytes, (ImageEmpty,))
    noise = random.Random(2).randbytes(5_000)
    svg = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "&b;">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>'
    for name, data in {
        "text": b"a picture of a shoe" * 50,
        "html": b"<html><body>shoe</body></html>",
        "svg-entity": svg,
        "elf": b"\x7fELF\x02\x01\x01" + bytes(100),
        "zip": b"PK\x03\x04" + bytes(100),
        "gzip-of-jpeg": gzip.compress(jpeg()),
        "base64-of-jpeg": base64.b64encode(jpeg()),
        "random": b"\x00" + noise,
    }.items():
        yield OddPicture("A2", name, functools.partial(bytes, data), (UnsupportedImageFormat,))


def _other_formats() -> Iterator[OddPicture]:
    refusal = (UnsupportedImageFormat,)
    for name in ("BMP", "TIFF", "ICO", "TGA", "PPM", "DDS", "SGI", "PCX", "JPEG2000", "EPS", "PDF"):
        yield OddPicture("A3", name.lower(), functools.partial(encode, photo(), name), refusal)
    yield OddPicture("A3", "psd", lambda: b"8BPS\x00\x01" + bytes(200), refusal)
    yield OddPicture("A3", "fits", lambda: b"SIMPLE  =                    T".ljust(2880), refusal)
    yield OddPicture("A4", "heic", lambda: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100), refusal)
    yield OddPicture(
        "A4", "heic-mif1", lambda: b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic" + bytes(99), refusal
    )
    yield OddPicture("A4", "jpeg-xl", lambda: b"\xff\x0a" + bytes(100), refusal)
    yield OddPicture("A4", "jpeg-xl-box", lambda: b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(100), refusal)
    yield OddPicture("A4", "mp4", lambda: b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1" + bytes(100), refusal)


def _flooded_png() -> bytes:
    """Far more pixels than the header promises, under a wrong checksum."""
    flood = chunk(b"IDAT", deflated_zeros(200 << 20))
    return png(64, 64, flood[:-1] + bytes([flood[-1] ^ 1]))


def _too_much() -> Iterator[OddPicture]:
    yield OddPicture("A5", "10-mib-and-one", lambda: jpeg().ljust(10 * 1024 * 1024 + 1, b"\x00"), (ImageTooLarge,))
    many, complex_, bomb = (ImageTooManyPixels,), (ImageTooComplex,), (ImageMalformed,)
    yield OddPicture("A6", "png-30000", lambda: png(30_000, 30_000, idat(16, 16)), many)
    yield OddPicture("A6", "png-header-alone", lambda: png(30_000, 30_000)[:33], many)
    yield OddPicture("A6", "png-2-31", lambda: png(1 << 31, 1 << 31, idat(16, 16)), many)
    yield OddPicture("A7", "png-12000", lambda: png(12_000, 12_000, idat(16, 16)), many)
    yield OddPicture("A7", "png-6000", lambda: png(6_000, 6_000, idat(16, 16)), many)
    yield OddPicture("A7", "progressive-49-mp", lambda: flat_jpeg(7_000, 7_000, frame=0xC2), many)
    yield OddPicture("A7", "split-scans-49-mp", lambda: _first_scan_of_one(flat_jpeg(7_000, 7_000)), many)
    yield OddPicture("A7", "alpha-17-mp", lambda: png(4_250, 4_000, idat(16, 16, 4), colour=6), many)
    yield OddPicture("A7", "sixteen-bits-17-mp", lambda: png(4_250, 4_000, idat(16, 16, 2), depth=16), many)
    yield OddPicture("A7", "trns-17-mp", lambda: png(4_250, 4_000, chunk(b"tRNS", b"\0\0"), idat(16, 16)), many)
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 9_000, 9_000, 8, 0, 0, 0, 0))
    yield OddPicture("A7", "png-second-header", lambda: png(64, 64, second, idat(64, 64)))
    yield OddPicture("A7", "baseline-65-mp", lambda: flat_jpeg(8_200, 8_000), many)
    yield OddPicture("A7", "gif-26-mp", lambda: replaced(gif(), 6, struct.pack("<HH", 5_200, 5_000)), many)
    clear = b"!\xf9\x04\x01\x00\x00\x00\x00"
    size_17_mp = struct.pack("<HH", 4_250, 4_000)
    yield OddPicture("A7", "gif-clear-17-mp", lambda: replaced(gif(extensions=clear), 6, size_17_mp), many)
    yield OddPicture("A7", "webp-17-mp", lambda: webp_canvas(4_250, 4_000), many)
    yield OddPicture("A9", "png-idat-bomb", _flooded_png, complex_)
    yield OddPicture("A8", "gif-frame", lambda: gif(frame_side=60_000), many)
    yield OddPicture("A8", "gif-frame-by-one", lambda: gif(frame_side=17), many)
    yield OddPicture("A8", "gif-frame-aside", lambda: gif(left=1), many)
    yield OddPicture("A8", "webp-canvas", lambda: webp_canvas(1 << 24, 1 << 24), many)
    yield OddPicture("A8", "avif-size", lambda: _avif_size(1 << 24, 1 << 24), many)
    yield OddPicture("A8", "avif-stream", lambda: _lying_avif(5_000), many)
    yield OddPicture("A9", "jpeg-scans", lambda: flat_jpeg(64, 64, scans=10_000, frame=0xC2), complex_)
    yield OddPicture("A9", "jpeg-fill", lambda: jpeg()[:2] + b"\xff" * 4_000_000 + jpeg()[2:], complex_)
    yield OddPicture("A9", "jpeg-fill-at-end", lambda: jpeg()[:-2] + b"\xff" * 4_000_000 + jpeg()[-2:], complex_)
    yield OddPicture("A9", "jpeg-segments", lambda: jpeg()[:2] + segment(0xFE, b"") * 400_000 + jpeg()[2:], complex_)
    yield OddPicture("A9", "png-chunks", lambda: after_header(plain_png(), [chunk(b"teSt", b"")] * 300_000), complex_)
    yield OddPicture("A9", "gif-blocks", lambda: gif(extensions=b"!\xfe" + b"\x01x" * 300_000 + b"\x00"), complex_)
    yield OddPicture("A9", "avif-boxes", lambda: avif() + b"\x00\x00\x00\x08free" * 300_000, complex_)
    zeros = functools.partial(deflated_zeros, 200 << 20)
    for name, kind, start in (
        ("ztxt", b"zTXt", b"k\x00\x00"),
        ("itxt", b"iTXt", b"k\x00\x01\x00\x00\x00"),
        ("iccp", b"iCCP", b"k\x00\x00"),
    ):
        build = functools.partial(_with_metadata, kind, start, zeros)
        yield OddPicture("A10", f"{name}-200-mb", build, bomb)


def _damaged() -> Iterator[OddPicture]:
    wholes = {
        "jpeg": large_jpeg,
        "progressive": functools.partial(encode, photo(640, 480), "JPEG", progressive=True),
        "png": plain_png,
        "webp": functools.partial(encode, photo(), "WEBP"),
        "gif": functools.partial(encode, photo(), "GIF"),
        "avif": avif,
    }
    for name, whole in wholes.items():
        for percent in (10, 50, 90, 99):
            cut = functools.partial(_cut, whole, percent)
            exact = name in ("jpeg", "progressive", "png", "webp", "gif") and percent > 10
            yield OddPicture("A11", f"{name}-cut-{percent}", cut, (ImageTruncated,) if exact else CUT)
    bad = (ImageMalformed,)
    yield OddPicture("A13", "ihdr-crc", lambda: replaced(plain_png(), 29, b"\x00\x00\x00\x00"), bad)
    yield OddPicture("A13", "idat-bit", lambda: _with_flipped_bit(plain_png()), bad)
    yield OddPicture("A13", "png-zero-width", lambda: png(0, 64, idat(64, 64)), bad)
    yield OddPicture("A13", "png-depth", lambda: png(64, 64, idat(64, 64), depth=3), bad)
    yield OddPicture("A13", "png-no-idat", lambda: png(64, 64), bad)
    yield OddPicture("A13", "png-no-ihdr", lambda: plain_png()[:8] + plain_png()[33:], bad)
    yield OddPicture("A13", "png-no-palette", lambda: png(64, 64, idat(64, 64), colour=3), bad)
    yield OddPicture("A13", "jpeg-12-bit", lambda: flat_jpeg(64, 64, precision=12), bad)
    yield OddPicture("A13", "jpeg-lossless", lambda: flat_jpeg(64, 64, frame=0xC3), bad)
    yield OddPicture("A13", "jpeg-no-tables", lambda: without_segments(jpeg(), {0xDB}), bad)
    yield OddPicture("A13", "jpeg-zero-height", lambda: flat_jpeg(64, 0), bad)
    yield OddPicture("A13", "jpeg-no-frame", lambda: without_segments(jpeg(), {0xC0}), bad)
    yield OddPicture("A13", "jpeg-no-scan", lambda: jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9", bad)
    yield OddPicture("A13", "gif-no-frame", lambda: encode(photo(), "GIF")[:13] + bytes(768) + b";", bad)
    yield OddPicture("A13", "gif-empty-frame", lambda: gif(frame_side=0), bad)
    yield OddPicture("A13", "avif-noise", lambda: replaced(avif(), len(avif()) - 100, b"\xa5" * 100), bad)
    yield OddPicture("A13", "avif-no-meta", lambda: avif().replace(b"meta", b"free"), bad)


def _tolerated() -> Iterator[OddPicture]:
    yield OddPicture("A12", "jpeg-cut-with-end", lambda: _cut(large_jpeg, 50) + b"\xff\xd9")
    yield OddPicture("A14", "jpeg-extra-bytes", lambda: jpeg()[:20] + b"\x00junk\x00" + jpeg()[20:])
    yield OddPicture("A14", "jpeg-no-huffman", lambda: without_segments(encode(photo(), "JPEG"), {0xC4}))
    yield OddPicture("A14", "jpeg-trailing", lambda: jpeg() + bytes(1_000_000))
    yield OddPicture("A14", "jpeg-trailing-fill", lambda: jpeg() + b"\xff" * 1_000_000)
    yield OddPicture("A14", "png-cut-in-metadata", lambda: plain_png()[:-12] + chunk(b"tEXt", bytes(50))[:-20])
    yield OddPicture("A14", "png-trailing", lambda: plain_png() + bytes(1_000_000))
    yield OddPicture("A14", "png-no-iend", lambda: plain_png()[:-12])
    yield OddPicture("A14", "png-idat-crc", lambda: replaced(plain_png(), len(plain_png()) - 16, b"\x00\x00\x00\x00"))
    garbage = random.Random(16).randbytes(20_000)
    loop = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x08"
    for name, block in {
        "exif-garbage": b"Exif\x00\x00" + garbage,
        "exif-loop": loop,
        "exif-count": exif_block(6, count=0xFFFFFFFF),
        "exif-value-99": exif_block(99),
        "exif-offset": b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
    }.items():
        yield OddPicture("A16", f"jpeg-{name}", functools.partial(encode, photo(), "JPEG", exif=block))
        yield OddPicture("A16", f"webp-{name}", functools.partial(encode, photo(), "WEBP", exif=block))
        yield OddPicture(
            "A16", f"png-{name}", functools.partial(after_header, plain_png(), [chunk(b"eXIf", block[6:])])
        )
    for file_format in ("JPEG", "WEBP", "AVIF", "PNG"):
        build = functools.partial(encode, photo(), file_format, icc_profile=garbage)
        yield OddPicture("A16", f"{file_format.lower()}-icc-garbage", build)
    yield OddPicture("A16", "avif-exif-garbage", lambda: avif_with_broken_exif())
    yield OddPicture("A16", "png-icc-not-zlib", lambda: after_header(plain_png(), [chunk(b"iCCP", b"k\0\0" + garbage)]))
    app1 = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00".ljust(65_000, b"x"))
    yield OddPicture("A16", "jpeg-app1-1500-kb", lambda: jpeg()[:2] + app1 * 23 + jpeg()[2:])
    yield OddPicture("A16", "jpeg-mpf-garbage", lambda: jpeg()[:2] + segment(0xE2, b"MPF\x00" + garbage) + jpeg()[2:])


def _unusual() -> Iterator[OddPicture]:
    red = Image.new("RGBA", photo().size, (255, 0, 0, 0))
    for row, name, image, file_format, options in (
        ("A17", "grey-16", Image.new("I;16", (64, 48), 32_896), "PNG", {}),
        ("A18", "palette-alpha", photo().quantize(16), "PNG", {"transparency": bytes(range(16))}),
        ("A18", "palette-one-clear", photo().quantize(16), "PNG", {"transparency": 3}),
        ("A18", "grey-alpha", photo().convert("LA"), "PNG", {}),
        ("A18", "grey-one-clear", photo().convert("L"), "PNG", {"transparency": 7}),
        ("A18", "rgb-one-clear", photo(), "PNG", {"transparency": (1, 2, 3)}),
        ("A18", "clear-png", red, "PNG", {}),
        ("A18", "clear-webp", red, "WEBP", {"exact": True, "lossless": True}),
        ("A18", "clear-avif", red, "AVIF", {"speed": 10}),
        ("A19", "cmyk", photo().convert("CMYK"), "JPEG", {}),
        ("A19", "grey-jpeg", photo().convert("L"), "JPEG", {}),
        ("A19", "one-bit", photo().convert("1"), "PNG", {}),
        ("A19", "progressive", photo(), "JPEG", {"progressive": True}),
        ("A19", "odd-420", photo(97, 61), "JPEG", {"subsampling": "4:2:0"}),
        ("A19", "restart-markers", photo(1_000, 800), "JPEG", {"restart_marker_blocks": 1}),
        ("A19", "webp-lossy", photo(), "WEBP", {}),
        ("A19", "webp-lossless", photo(), "WEBP", {"lossless": True}),
        ("A20", "mpo", photo(), "MPO", {"save_all": True, "append_images": [photo(64, 64)]}),
        ("A21", "gif-animated", photo(), "GIF", {"save_all": True, "append_images": [red]}),
        ("A21", "webp-animated", photo(), "WEBP", {"save_all": True, "append_images": [photo().rotate(180)]}),
        ("A21", "apng", photo(), "PNG", {"save_all": True, "append_images": [photo().rotate(180)]}),
        ("A21", "avif-animated", photo(), "AVIF", {"save_all": True, "append_images": [photo().rotate(180)]}),
        ("A23", "16x4000", photo(16, 4_000), "PNG", {}),
        ("A27", "blank-white", Image.new("RGB", (64, 64), "white"), "PNG", {}),
        ("A27", "blank-black", Image.new("RGB", (64, 64)), "JPEG", {}),
    ):
        yield OddPicture(row, name, functools.partial(encode, image, file_format, **options))
    yield OddPicture("A19", "interlaced", interlaced_png)
    yield OddPicture("A21", "gif-5000-frames", lambda: gif(frames=5_000))
    yield OddPicture("A22", "1x1", functools.partial(encode, photo(1, 1), "PNG"), (ImageTooSmall,))
    yield OddPicture("A22", "15x400", functools.partial(encode, photo(15, 400), "JPEG"), (ImageTooSmall,))
    yield OddPicture("A23", "20000x16", functools.partial(encode, photo(20_000, 16), "JPEG"), (ImageTooManyPixels,))
    yield OddPicture("A24", "50-mp-baseline", lambda: flat_jpeg(8_000, 6_250))
    yield OddPicture("A26", "jpeg-zip", lambda: jpeg() + b"PK\x03\x04" + bytes(500))
    yield OddPicture("A26", "gif-script", lambda: gif(extensions=b"!\xfe\x14*/=1;alert(1)//xxxxx\x00"))
    yield OddPicture("A26", "jpeg-script", functools.partial(encode, photo(), "JPEG", comment=b"<script>alert(1)"))


def interlaced_png() -> bytes:
    """A grey PNG in the seven passes of Adam7, which Pillow cannot write: all of value 200."""
    passes = ((8, 8), (8, 8), (16, 8), (16, 16), (32, 16), (32, 32), (64, 32))
    rows = b"".join((b"\x00" + b"\xc8" * width) * height for width, height in passes)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def avif_with_broken_exif() -> bytes:
    """An AVIF whose EXIF item is noise."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = encode(photo(), "AVIF", speed=10, exif=exif)
    return replaced(data, data.index(b"maker") - 26, b"\xff" * 31)


def _avif_size(width: int, height: int) -> bytes:
    return replaced(avif(), avif().index(b"ispe") + 8, struct.pack(">II", width, height))


@functools.cache
def _lying_avif(side: int) -> bytes:
    """An AVIF whose box says 100 x 100 and whose stream says `side` x `side`."""
    data = encode(Image.new("RGB", (side, side)), "AVIF", speed=10)
    return replaced(data, data.index(b"ispe") + 8, struct.pack(">II", 100, 100))


def _first_scan_of_one(data: bytes) -> bytes:
    """The first scan holds one of three components: libjpeg then keeps all coefficients in memory."""
    scan = data.index(b"\xff\xda")
    return data[:scan] + segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + bytes(100) + data[scan:]


def _with_metadata(kind: bytes, start: bytes, compressed: Callable[[], bytes]) -> bytes:
    return after_header(plain_png(), [chunk(kind, start + compressed())])


def _with_flipped_bit(data: bytes) -> bytes:
    middle = data.index(b"IDAT") + 400
    return replaced(data, middle, bytes([data[middle] ^ 0x10]))


def _cut(whole: Callable[[], bytes], percent: int) -> bytes:
    data = whole()
    return data[: len(data) * percent // 100]
