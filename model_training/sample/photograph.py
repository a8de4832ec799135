"""One picture of a product as one seller would take it: background, angle, light, overlays, JPEG quality."""

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import BLACK, WHITE, font, ink_on, mix, write
from model_training.sample.products import Colour
from model_training.sample.solids import stand

STICKERS = "PROMO COD -50% SALE ORIGINAL READY TERLARIS GRATIS_ONGKIR BEST_SELLER DISKON_30% NEW BPOM"
GROUNDS, SIDE = ("wood", "planks", "fabric", "marble", "concrete", "tiles"), 640


def photograph(sprites: Sequence[Image.Image], shop: str, rng: np.random.Generator) -> bytes:
    """
    A JPEG of about 400 to 512 pixels a side.

    Args:
        sprites: cut-out pictures of what is on sale, as RGBA; several make a group picture or a collage.
        shop: the seller's name, for his watermark.
        rng: decides everything else.
    """
    width = int(rng.integers(25, 33)) * 16
    height = width if rng.random() < 0.7 else int(width * rng.uniform(0.8, 1.15))
    tint: Colour = tuple(rng.integers(30, 235, 3).tolist())
    picture = _background(width, height, tint, rng)
    _arrange(picture, sprites, rng)
    if rng.random() < 0.14:
        _show_detail(picture, sprites[0], rng)
    if rng.random() < 0.3:  # cut off at the edges
        left, top, right, bottom = rng.uniform(0, 0.1, 4) * (width, height, width, height)
        picture = picture.crop((int(left), int(top), int(width - right), int(height - bottom)))
    picture = _expose(picture, rng)
    loud: Colour = tint if rng.random() < 0.5 else (214, 34, 40)
    for overlay, share in ((_watermark, 0.22), (_sticker, 0.28), (_price_bar, 0.14)):
        if rng.random() < share:
            overlay(picture, shop, loud, rng)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(58, 93)))
    return stream.getvalue()


def noise(rng: np.random.Generator, side: int, across: int, down: int) -> NDArray[np.float32]:
    """Smooth noise, (side, side), -1..1, with this many bumps across and down."""
    grid = rng.random((down + 1, across + 1), np.float32) * 2 - 1
    return np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))


@lru_cache(maxsize=32)
def _ground(kind: str, number: int) -> Image.Image:
    """One of a few grounds of a kind, (SIDE, SIDE) in grey; the same for the same arguments."""
    rng, x = np.random.default_rng([GROUNDS.index(kind), number]), np.arange(SIDE)
    cloud = np.sum([noise(rng, SIDE, 2**k, 2**k) / 2**k for k in range(1, 7)], 0)
    match kind:
        case "wood":
            level = 170 + np.sin(noise(rng, SIDE, 1, 6) * 20 + noise(rng, SIDE, 2, 40) * 2) * 14 + noise(rng, SIDE, 4, 300) * 16
        case "planks":
            grain, board = noise(rng, SIDE, 3, 200) * 16 + noise(rng, SIDE, 2, 24) * 14, x // (SIDE // 5)
            level = 172 + grain + (rng.uniform(-22, 22, 6)[board] - 70 * (x % (SIDE // 5) < 3))[:, None]
        case "fabric":
            level = 185 + (np.sin(x[:, None] * 1.3) + np.sin(x * 1.3)) * 9 + noise(rng, SIDE, 3, 4) * 30
        case "marble":
            level = 225 - 70 * np.exp(-np.abs(cloud) * 9) + cloud * 14
        case "concrete":
            level = 178 + cloud * 22 + noise(rng, SIDE, 320, 320) * 7
        case _:
            level = 208 + cloud * 8 - 45.0 * ((x % (SIDE // 6) < 4)[:, None] | (x % (SIDE // 6) < 4))
    return Image.fromarray(np.clip(level, 0, 255).astype(np.uint8))


def _background(width: int, height: int, tint: Colour, rng: np.random.Generator) -> Image.Image:
    """White, a textured ground, a wall with or without a table, or things out of focus."""
    pale, kind = mix(tint, WHITE, rng.uniform(0.5, 0.92)), rng.random()
    if kind < 0.25:
        return Image.new("RGB", (width, height), (255, 255, 255) if rng.random() < 0.7 else pale)
    if kind < 0.62:
        name, turns = GROUNDS[rng.integers(len(GROUNDS))], int(rng.integers(7))
        left, top = int(rng.integers(SIDE - width + 1)), int(rng.integers(SIDE - height + 1))
        grey = _ground(name, int(rng.integers(4))).transpose(Image.Transpose(turns)).crop((left, top, left + width, top + height))
        hue = mix((150, 104, 64), (226, 190, 146), rng.random()) if name in ("wood", "planks") else pale
        return Image.merge("RGB", [grey.point([min(255, int(level * part / 190)) for level in range(256)]) for part in hue])
    picture = Image.new("RGB", (64, 64), pale)
    draw, floor = ImageDraw.Draw(picture), rng.uniform(40, 52)
    if kind < 0.85:  # a wall, mostly behind a table
        for row in range(64):
            draw.line((0, row, 64, row), mix(pale, tint, 0.4 * row / 64))
        if rng.random() < 0.6:
            draw.rectangle((0, floor, 64, 64), mix(pale, BLACK, rng.uniform(0.05, 0.45)))
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    for _ in range(14):
        blot: Colour = tuple(rng.integers(40, 240, 3).tolist())
        draw.circle(tuple(rng.uniform(0, 64, 2)), rng.uniform(3, 13), mix(blot, pale, 0.6))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 5))).resize((width, height), Image.Resampling.BICUBIC)


def _arrange(picture: Image.Image, sprites: Sequence[Image.Image], rng: np.random.Generator) -> None:
    """Put what is on sale before the background, side by side, a little turned, each with its soft shadow."""
    turn, many = 0.0 if rng.random() < 0.5 else rng.normal(0, 0.16), len(sprites)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shift, softness, strength = rng.uniform((-3, 1), 3), rng.uniform(1, 2.5), rng.uniform(0.3, 0.65)
    for index, sprite in enumerate(sprites):
        room = rng.uniform(0.74, 0.98, 2) * (picture.width / many * (1.15 if many > 1 else 1), picture.height)
        size = np.array(sprite.size) * np.min(room / sprite.size)
        centre = ((index + 0.5) / many, 0.5) + rng.normal(0, 0.02, 2)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size / 2 * (1 + rng.normal(0, 0.03, (4, 2)))
        corners = corners @ spin + centre * picture.size
        small = Image.new("RGBA", (picture.width // 8 + 1, picture.height // 8 + 1))
        stand(small, sprite.reduce(8), corners / 8 + shift)
        shadow = small.getchannel("A").filter(ImageFilter.GaussianBlur(softness)).point([int(level * strength) for level in range(256)])
        picture.paste(BLACK, (0, 0, *picture.size), shadow.resize(picture.size, Image.Resampling.BILINEAR))
        stand(picture, sprite, corners)


def _show_detail(picture: Image.Image, sprite: Image.Image, rng: np.random.Generator) -> None:
    """A part of the product, enlarged, in a round or square inset in a corner."""
    side = int(picture.width * rng.uniform(0.26, 0.36))
    left, top = (int((room - side) * rng.uniform(0.3, 0.7)) for room in sprite.size)
    detail, mask = Image.new("RGBA", (side, side), (244, 244, 244)), Image.new("L", (side * 2, side * 2))
    detail.alpha_composite(sprite.crop((left, top, left + side, top + side)))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side * 2 - 1, side * 2 - 1), side * rng.choice([0.0, 0.2, 1.0]), 255)
    x, y = (int(rng.choice([8, room - side - 8])) for room in picture.size)
    picture.paste(WHITE, (x - 4, y - 4, x + side + 4, y + side + 4), mask.resize((side + 8, side + 8)))
    picture.paste(detail, (x, y), mask.reduce(2))


def _expose(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, colour temperature, and light that falls off to one side."""
    if rng.random() < 0.4:
        fall = Image.fromarray(np.clip(noise(rng, 32, 1, 1) * 34 + 226, 0, 255).astype(np.uint8))
        picture = ImageChops.multiply(picture, fall.resize(picture.size, Image.Resampling.BILINEAR).convert("RGB"))
    warm, gain, gamma = rng.normal(0, 0.05), rng.normal(1.0, 0.09), np.exp(rng.normal(0, 0.12))
    curve = np.linspace(0, 1, 256) ** gamma * 255 * gain
    return picture.point([int(level) for part in (1 + warm, 1, 1 - warm) for level in np.clip(curve * part, 0, 255)])


def _watermark(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """The shop's name, half transparent, once or all over."""
    layer, size = Image.new("L", picture.size), int(rng.integers(7, 22)) * 2
    for x, y in rng.uniform(0.15, 0.85, (1 if rng.random() < 0.7 else 5, 2)) * picture.size:
        ImageDraw.Draw(layer).text((x, y), shop, int(rng.integers(70, 170)), font(size), "mm")
    picture.paste(ink_on(colour), (0, 0, *picture.size), layer)


def _sticker(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """A badge that promises something."""
    text, reach = str(rng.choice(STICKERS.split())).replace("_", " "), int(picture.width * rng.uniform(0.09, 0.15))
    (x, y), draw = (int(rng.choice([reach + 6, room - reach - 6])) for room in picture.size), ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        for turn in (0, 20, 40):
            draw.regular_polygon((x, y, reach), 6, turn, colour)
    else:
        draw.rounded_rectangle((x - reach, y - reach * 0.45, x + reach, y + reach * 0.45), reach * 0.2, colour)
    write(draw, (x - reach * 0.8, y - reach * 0.4, x + reach * 0.8, y + reach * 0.4), text, ink_on(colour), 0.04)


def _price_bar(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """A frame, and below a bar with the shop's name and a price."""
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    top, price = height * rng.uniform(0.86, 0.91), f"Rp {rng.integers(5, 400)}.{rng.choice(['000', '500', '900'])}"
    draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=int(width * 0.02))
    draw.rectangle((0, top, width, height), colour)
    write(draw, (width * 0.03, top + 4, width * 0.48, height - 4), shop, ink_on(colour))
    write(draw, (width * 0.55, top + 4, width * 0.97, height - 4), price, ink_on(colour), 0.04)
