"""What is printed on a product: brand, name, variant and size over a decoration; and patterns of cloth."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model_training.sample.products import Colour, Product

WHITE: Colour = (250, 249, 246)
Box = tuple[float, float, float, float]


@lru_cache(maxsize=128)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("expected Pillow with FreeType, got one without it; install Pillow's wheel")
    return loaded


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def ink_on(ground: Colour) -> Colour:
    """A colour that can be read on this one."""
    light = ground[0] * 0.3 + ground[1] * 0.59 + ground[2] * 0.11 > 150
    return mix(ground, (16, 16, 24), 0.85) if light else mix(ground, WHITE, 0.93)


def write(draw: ImageDraw.ImageDraw, box: Box, text: str, ink: Colour, weight: float = 0.0) -> None:
    """Write one line as large as the box (left, top, right, bottom) allows, centred; `weight` thickens it."""
    left, top, right, bottom = box
    fitting = min((bottom - top) * 1.05, (right - left) / font(100).getlength(text) * 100)
    size = max(8, int(fitting) // 2 * 2)
    draw.text(((left + right) / 2, (top + bottom) / 2), text, ink, font(size), "mm", stroke_width=round(size * weight))


def label(product: Product, width: int, height: int) -> Image.Image:
    """The printed face of a pack; members of a family differ in colour of the variant and in what is written."""
    rng = np.random.default_rng(product.design)
    accent = product.accent
    ground = (product.base, mix(product.base, WHITE, 0.88), accent, mix(accent, WHITE, 0.8))[rng.integers(4)]
    if ground == accent:
        accent = mix(product.base, WHITE, 0.2)
    art = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(art)
    decorate(draw, rng, width, height, accent)
    if width > height * 1.25:
        panels = ((0.05, 0.12, 0.6, 0.5), (0.05, 0.52, 0.6, 0.7), (0.62, 0.1, 0.95, 0.66), (0.05, 0.74, 0.55, 0.93), (0.62, 0.74, 0.95, 0.93))
    elif rng.random() < 0.5:
        panels = ((0.08, 0.05, 0.92, 0.25), (0.14, 0.26, 0.86, 0.36), (0.25, 0.4, 0.75, 0.7), (0.12, 0.73, 0.88, 0.84), (0.3, 0.87, 0.7, 0.96))
    else:
        panels = ((0.06, 0.42, 0.94, 0.62), (0.12, 0.63, 0.88, 0.72), (0.25, 0.07, 0.75, 0.38), (0.12, 0.75, 0.88, 0.85), (0.52, 0.88, 0.94, 0.97))
    brand, noun, picture, variant, size = ((a * width, b * height, c * width, d * height) for a, b, c, d in panels)
    backed = rng.random() < 0.6
    if backed:
        plate = mix(product.base, (20, 20, 30), 0.55) if rng.random() < 0.5 else WHITE
        draw.rounded_rectangle((brand[0], brand[1], brand[2], noun[3]), (brand[3] - brand[1]) * rng.uniform(0, 0.4), plate)
    ink = ink_on(plate if backed else ground)
    name = product.brand.upper() if rng.random() < 0.5 else product.brand
    write(draw, _inset(brand, 0.08), name, ink, rng.choice([0.0, 0.025, 0.05]))
    write(draw, _inset(noun, 0.1), product.good.english.upper() if rng.random() < 0.6 else product.good.indonesian, ink)
    emblem(draw, rng, picture, product.accent)
    pill = product.accent if ground != product.accent else mix(product.accent, (20, 20, 30), 0.5)
    draw.rounded_rectangle(variant, (variant[3] - variant[1]) * rng.choice([0, 0.25, 0.5]), pill)
    write(draw, _inset(variant, 0.14), product.variant.title(), ink_on(pill), 0.02)
    if product.size:
        write(draw, size, product.size, ink_on(ground), 0.02)
    return art


def _inset(box: Box, share: float) -> Box:
    across, down = (box[2] - box[0]) * share / 2, (box[3] - box[1]) * share
    return box[0] + across, box[1] + down, box[2] - across, box[3] - down


def decorate(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, colour: Colour) -> None:
    """One of eight grounds: band, waves, stripes, diagonal, dots, rays, hills, frame."""
    level, unit = rng.uniform(0.35, 0.7) * height, max(8, int(width * rng.uniform(0.06, 0.16)))
    soft = mix(colour, WHITE, rng.uniform(0, 0.5))
    match rng.integers(8):
        case 0:
            draw.rectangle((0, level, width, height), soft)
        case 1:
            x = np.arange(0, width + 8, 8)
            for step in range(3):
                y = level + step * height * 0.12 + np.sin(x / width * 6.3 + step) * height * 0.05
                draw.polygon([*zip(x.tolist(), y.tolist(), strict=True), (width, height), (0, height)], mix(soft, colour, step / 2))
        case 2:
            for left in range(0, width, unit * 2):
                draw.rectangle((left, 0, left + unit, height), soft)
        case 3:
            draw.polygon([(0, level), (width, level - height * 0.3), (width, height), (0, height)], soft)
        case 4:
            for index in range(0, (width // unit + 1) * (height // unit + 1)):
                x, y = index % (width // unit + 1) * unit, index // (width // unit + 1) * unit
                draw.circle((x + unit / 2 * (y // unit % 2), y), unit * 0.22, soft)
        case 5:
            for angle in np.arange(0, 6.28, 6.28 / 12):
                far = [(width / 2 + np.cos(a) * height * 2, height / 2 + np.sin(a) * height * 2) for a in (angle, angle + 0.26)]
                draw.polygon([(width / 2, height / 2), *far], soft)
        case 6:
            for step, centre in enumerate(rng.random(4)):
                draw.circle((centre * width, height * 1.1), height * (0.55 - step * 0.1), mix(soft, colour, step / 4))
        case _:
            draw.rectangle((unit * 0.3, unit * 0.3, width - unit * 0.3, height - unit * 0.3), outline=soft, width=max(2, unit // 4))


def emblem(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: Box, colour: Colour) -> None:
    """A picture of fruit, leaf, drop or star in the colour of the variant."""
    x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, min(box[2] - box[0], box[3] - box[1]) / 2
    dark, bright = mix(colour, (30, 20, 20), 0.35), mix(colour, WHITE, 0.55)
    kind = rng.integers(4)
    if kind == 0:
        for dx, dy in ((-0.4, 0.3), (0.4, 0.3), (0, -0.1)):
            draw.circle((x + dx * reach, y + dy * reach), reach * 0.5, colour, dark, max(1, int(reach / 20)))
            draw.circle((x + (dx - 0.15) * reach, y + (dy - 0.15) * reach), reach * 0.12, bright)
        draw.ellipse((x, y - reach, x + reach * 0.7, y - reach * 0.55), (86, 150, 70))
    elif kind == 1:
        for turn in (-0.9, 0.0, 0.9):
            tip = (x + np.sin(turn) * reach, y - np.cos(turn) * reach)
            sides = [(x + np.sin(turn + d) * reach * 0.55, y - np.cos(turn + d) * reach * 0.55) for d in (-0.5, 0.5)]
            draw.polygon([(x, y + reach * 0.7), sides[0], tip, sides[1]], mix(colour, dark, abs(turn)))
    elif kind == 2:
        draw.circle((x, y + reach * 0.3), reach * 0.65, colour)
        draw.polygon([(x, y - reach), (x - reach * 0.58, y + reach * 0.02), (x + reach * 0.58, y + reach * 0.02)], colour)
        draw.circle((x - reach * 0.25, y + reach * 0.3), reach * 0.16, bright)
    else:
        points = [(x + np.sin(k * 0.6283) * reach * (1, 0.5)[k % 2], y - np.cos(k * 0.6283) * reach * (1, 0.5)[k % 2]) for k in range(10)]
        draw.circle((x, y), reach, mix(colour, WHITE, 0.7))
        draw.polygon(points, dark)


def cloth(product: Product, side: int) -> Image.Image:
    """A square of fabric in the colour of the variant: plain, striped, checked or dotted."""
    rng = np.random.default_rng([product.design, 1])
    art = Image.new("RGB", (side, side), product.accent)
    draw, unit, second = ImageDraw.Draw(art), int(rng.integers(24, 80)), mix(product.base, WHITE, rng.uniform(0, 0.6))
    match rng.integers(8):
        case 0:
            for top in range(0, side, unit * 2):
                draw.rectangle((0, top, side, top + unit * rng.uniform(0.2, 1)), second)
        case 1:
            for at in range(0, side, unit * 2):
                draw.rectangle((at, 0, at + unit * 0.5, side), mix(product.accent, second, 0.5))
                draw.rectangle((0, at, side, at + unit * 0.5), mix(product.accent, second, 0.7))
        case 2:
            for index in range((side // unit) ** 2):
                draw.circle((index % (side // unit) * unit + unit / 2, index // (side // unit) * unit + unit / 2), unit * 0.2, second)
        case 3:
            draw.rectangle((0, side * 0.35, side, side * 0.6), second)
        case _:
            pass
    return art
