"""One picture of a product as one seller would take it: background, angle, light, overlays, JPEG quality."""

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import BLACK, WHITE, font, ink_on, mix, write
from model_training.sample.products import Colour, pleasant, shop
from model_training.sample.solids import scaled, stand

SIDE = 640  # of a textured ground; a photograph takes a crop of it


def photograph(sprites: Sequence[Image.Image], seller: str, rng: np.random.Generator) -> bytes:
    """A JPEG of about 400 to 512 pixels a side. `sprites` are RGBA; several make a group picture or a collage."""
    width = int(rng.integers(25, 33)) * 16
    height, tint = width if rng.random() < 0.7 else int(width * rng.uniform(0.8, 1.15)), pleasant(rng)
    picture = _background(width, height, tint, rng)
    _arrange(picture, sprites, rng)
    if rng.random() < 0.14:  # a detail in a corner
        part = picture.crop((width // 3, height // 3, width * 2 // 3, height * 2 // 3)).resize((width // 3, width // 3))
        ImageDraw.Draw(part).rectangle((0, 0, width // 3 - 1, width // 3 - 1), outline=WHITE, width=4)
        picture.paste(part, (int(rng.choice([8, width * 2 // 3 - 8])), int(rng.choice([8, height - width // 3 - 8]))))
    if rng.random() < 0.3:  # cut off at the edges
        left, top, right, bottom = (rng.uniform((0, 0, 0.9, 0.9), (0.1, 0.1, 1, 1)) * (picture.size * 2)).astype(int)
        picture = picture.crop((int(left), int(top), int(right), int(bottom)))
    if rng.random() < 0.4:  # light that falls off to one side
        fall = Image.fromarray(np.clip(noise(rng, 32, 1, 1) * 34 + 226, 0, 255).astype(np.uint8))
        picture = ImageChops.multiply(picture, fall.resize(picture.size).convert("RGB"))
    warmth, gain = rng.normal(0, 0.05), rng.normal(1.0, 0.09)
    picture = scaled(picture, (gain * (1 + warmth), gain, gain * (1 - warmth)), np.exp(rng.normal(0, 0.12)))
    _overlay(picture, seller, tint if rng.random() < 0.5 else (214, 34, 40), rng)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(58, 93)))
    return stream.getvalue()


def noise(rng: np.random.Generator, side: int, across: int, down: int) -> NDArray[np.float32]:
    """Smooth noise, (side, side), -1..1, with this many bumps across and down."""
    grid = rng.random((down + 1, across + 1), np.float32) * 2 - 1
    return np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))


@lru_cache
def _ground(kind: int, number: int) -> Image.Image:
    """Wood, planks, fabric, marble, concrete or tiles, (SIDE, SIDE) in grey; the same for the same arguments."""
    rng, x = np.random.default_rng([kind, number]), np.arange(SIDE)
    cloud = np.sum([noise(rng, SIDE, 2**k, 2**k) / 2**k for k in range(1, 7)], 0)
    grain = noise(rng, SIDE, 3, 200) * 16 + noise(rng, SIDE, 2, 24) * 14
    gap, board = x % (SIDE // 5) < 4, rng.uniform(-22, 22, 6)[x // (SIDE // 5)]
    levels = (
        172 + grain + np.sin(noise(rng, SIDE, 1, 6) * 20 + grain / 12) * 14,
        172 + grain + (board - 70 * gap)[:, None],
        185 + (np.sin(x[:, None] * 1.3) + np.sin(x * 1.3)) * 9 + noise(rng, SIDE, 3, 4) * 30,
        225 - 70 * np.exp(-np.abs(cloud) * 9) + cloud * 14,
        178 + cloud * 22 + noise(rng, SIDE, 320, 320) * 7,
        208 + cloud * 8 - 45 * (gap[:, None] | gap),
    )
    return Image.fromarray(np.clip(levels[kind], 0, 255).astype(np.uint8))


def _background(width: int, height: int, tint: Colour, rng: np.random.Generator) -> Image.Image:
    """White, a textured ground, a wall with or without a table, or things out of focus."""
    pale, chance, material = mix(tint, WHITE, rng.uniform(0.5, 0.92)), rng.random(), int(rng.integers(6))
    if chance < 0.25:
        return Image.new("RGB", (width, height), (255, 255, 255) if rng.random() < 0.7 else pale)
    if chance < 0.62:
        left, top = int(rng.integers(SIDE - width + 1)), int(rng.integers(SIDE - height + 1))
        grey = _ground(material, int(rng.integers(4))).transpose(Image.Transpose(int(rng.integers(7))))
        grey = grey.crop((left, top, left + width, top + height))
        hue = pale if material > 1 else mix((150, 104, 64), (226, 190, 146), rng.random())
        return Image.merge("RGB", [scaled(grey, (part / 190,)) for part in hue])
    picture = Image.new("RGB", (64, 64), pale)
    draw = ImageDraw.Draw(picture)
    if chance < 0.85:
        for row in range(64):
            draw.line((0, row, 64, row), mix(pale, tint, 0.4 * row / 64))
        draw.rectangle((0, rng.uniform(40, 90), 64, 90), mix(pale, BLACK, rng.uniform(0.05, 0.45)))
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    for _ in range(14):
        draw.circle(rng.uniform(0, 64, 2).tolist(), rng.uniform(3, 13), mix(pleasant(rng), pale, 0.6))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 5))).resize((width, height))


def _arrange(picture: Image.Image, sprites: Sequence[Image.Image], rng: np.random.Generator) -> None:
    """Put what is on sale before the background, side by side, a little turned, each with its soft shadow."""
    turn, many = 0.0 if rng.random() < 0.5 else rng.normal(0, 0.16), len(sprites)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shift, softness, strength = rng.uniform((-3, 1), 3), rng.uniform(1, 2.5), rng.uniform(0.3, 0.65)
    for index, sprite in enumerate(sprites):
        room = rng.uniform(0.74, 0.98, 2) * (picture.width / many * (1.15 if many > 1 else 1), picture.height)
        size = np.array(sprite.size) * np.min(room / sprite.size)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size / 2 * (1 + rng.normal(0, 0.03, (4, 2)))
        corners = corners @ spin + rng.normal(((index + 0.5) / many, 0.5), 0.02) * picture.size
        small = Image.new("RGBA", (picture.width // 8 + 1, picture.height // 8 + 1))
        stand(small, sprite.reduce(8), corners / 8 + shift)
        shadow = scaled(small.getchannel("A").filter(ImageFilter.GaussianBlur(softness)), (strength,))
        picture.paste(BLACK, (0, 0), shadow.resize(picture.size, Image.Resampling.BILINEAR))
        stand(picture, sprite, corners)


def _overlay(picture: Image.Image, seller: str, colour: Colour, rng: np.random.Generator) -> None:
    """What sellers lay over a picture: a watermark, a badge, a frame with a price."""
    (width, height), draw, ink = picture.size, ImageDraw.Draw(picture), ink_on(colour)
    has_watermark, has_badge, has_frame = rng.random(3) < (0.22, 0.28, 0.14)
    if has_watermark:
        layer, size = Image.new("L", picture.size), int(rng.integers(7, 22)) * 2
        for x, y in rng.uniform(0.15, 0.85, (rng.choice([1, 1, 1, 5]), 2)) * picture.size:
            ImageDraw.Draw(layer).text((x, y), seller, int(rng.integers(70, 170)), font(size), "mm")
        picture.paste(ink, (0, 0), layer)
    if has_badge:
        reach, text = int(width * rng.uniform(0.09, 0.15)), str(rng.choice(shop().words["stickers"]))
        x, y = (int(rng.choice([reach + 6, room - reach - 6])) for room in picture.size)
        for turn in (0, 20, 40) if rng.random() < 0.5 else ():
            draw.regular_polygon((x, y, reach), 6, turn, colour)
        draw.rounded_rectangle((x - reach, y - reach * 0.4, x + reach, y + reach * 0.4), reach * 0.2, colour)
        write(draw, (x - reach * 0.9, y - reach * 0.4, x + reach * 0.9, y + reach * 0.4), text, ink)
    if has_frame:
        top, price = height * rng.uniform(0.86, 0.91), f"Rp {rng.integers(5, 400)}.{rng.choice(['000', '500', '900'])}"
        draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=int(width * 0.02))
        draw.rectangle((0, top, width, height), colour)
        write(draw, (width * 0.03, top + 4, width * 0.48, height - 4), seller, ink, 0)
        write(draw, (width * 0.55, top + 4, width * 0.97, height - 4), price, ink)
