"""What is printed on a product: brand, name, variant and size over a decoration; and patterns of cloth."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model_training.sample.products import Colour, Product

WHITE: Colour = (250, 249, 246)
BLACK: Colour = (26, 25, 30)
Box = tuple[float, float, float, float]  # left, top, right, bottom
# Where brand, noun, emblem, variant and size stand on a face, in percent.
WIDE = ((5, 10, 60, 48), (5, 50, 60, 70), (63, 10, 95, 66), (5, 74, 55, 93), (62, 74, 95, 93))
BRAND_ABOVE = ((8, 5, 92, 25), (12, 26, 88, 37), (24, 40, 76, 70), (10, 73, 90, 84), (26, 87, 74, 97))
BRAND_BELOW = ((6, 42, 94, 62), (12, 63, 88, 73), (24, 6, 76, 38), (10, 76, 90, 86), (26, 88, 74, 97))


@lru_cache(maxsize=128)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def ink_on(ground: Colour) -> Colour:
    """A colour that can be read on this one."""
    is_light = ground[0] * 0.3 + ground[1] * 0.59 + ground[2] * 0.11 > 150
    return mix(ground, BLACK if is_light else WHITE, 0.88)


def write(draw: ImageDraw.ImageDraw, box: Box, text: str, ink: Colour, weight: float = 0.0) -> None:
    """Write one line as large as the box allows, centred; `weight` thickens it."""
    left, top, right, bottom = box
    fitting = min((bottom - top) * 1.05, (right - left) / font(100).getlength(text) * 100)
    size = max(8, int(fitting) // 2 * 2)
    draw.text(((left + right) / 2, (top + bottom) / 2), text, ink, font(size), "mm", stroke_width=round(size * weight))


def label(product: Product, width: int, height: int) -> Image.Image:
    """The printed face of a pack; a family's faces differ in the colour of the variant and in what is written."""
    rng, accent = np.random.default_rng(product.design), product.accent
    ground = (product.base, mix(product.base, WHITE, 0.88), accent, mix(accent, WHITE, 0.8))[rng.integers(4)]
    art = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(art)
    _decorate(draw, rng, width, height, accent if ground != accent else mix(product.base, WHITE, 0.2))
    panels = WIDE if width > height * 1.25 else (BRAND_ABOVE, BRAND_BELOW)[rng.integers(2)]
    brand, noun, picture, variant, size = (
        (a * width / 100, b * height / 100, c * width / 100, d * height / 100) for a, b, c, d in panels
    )
    plate = (ground, mix(product.base, BLACK, 0.6), WHITE)[rng.integers(3)]
    draw.rounded_rectangle((*brand[:3], noun[3]), (brand[3] - brand[1]) * rng.uniform(0, 0.4), plate)
    name = product.brand.upper() if rng.random() < 0.5 else product.brand
    write(draw, _inset(brand), name, ink_on(plate), rng.choice([0.0, 0.025, 0.05]))
    write(draw, _inset(noun), product.names[rng.integers(2)].upper(), ink_on(plate))
    _emblem(draw, rng, picture, accent)
    pill = accent if ground != accent else mix(accent, BLACK, 0.5)
    for box, text in ((variant, product.variant[0].title()), (size, product.size)):
        if text:
            draw.rounded_rectangle(box, (box[3] - box[1]) * 0.3, pill if box == variant else ground)
            write(draw, _inset(box), text, ink_on(pill if box == variant else ground), 0.03)
    return art


def _inset(box: Box) -> Box:
    across, down = (box[2] - box[0]) * 0.06, (box[3] - box[1]) * 0.1
    return box[0] + across, box[1] + down, box[2] - across, box[3] - down


def _decorate(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, colour: Colour) -> None:
    """One of seven grounds: band, slope, stripes, dots, rays, waves, hills."""
    level, unit, kind = rng.uniform(0.35, 0.7) * height, max(8, int(width * rng.uniform(0.06, 0.16))), rng.integers(7)
    soft = mix(colour, WHITE, rng.uniform(0, 0.5))
    if kind < 2:
        draw.polygon([(0, level), (width, level - height * 0.3 * kind), (width, height), (0, height)], soft)
    elif kind == 2:
        for left in range(0, width, unit * 2):
            draw.rectangle((left, 0, left + unit, height), soft)
    elif kind == 3:
        for top in range(0, height + unit, unit):
            for left in range(0, width + unit, unit):
                draw.circle((left + top // unit % 2 * unit / 2, top), unit * 0.22, soft)
    elif kind == 4:
        for angle in range(0, 360, 30):
            draw.pieslice((-width, -height, width * 2, height * 2), angle, angle + 15, soft)
    elif kind == 5:
        for step in range(3):
            crest = [(x, level + step * height * 0.12 + np.sin(x / width * 6.3 + step) * height * 0.05) for x in range(0, width + 8, 8)]
            draw.polygon([*crest, (width, height), (0, height)], mix(soft, colour, step / 2))
    else:
        for step, centre in enumerate(rng.random(4)):
            draw.circle((centre * width, height * 1.1), height * (0.55 - step * 0.1), mix(soft, colour, step / 4))


def _emblem(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: Box, colour: Colour) -> None:
    """Fruit, petals, drop or star in the colour of the variant."""
    x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, min(box[2] - box[0], box[3] - box[1]) / 2
    dark, bright, kind = mix(colour, BLACK, 0.35), mix(colour, WHITE, 0.6), rng.integers(4)
    if kind == 0:
        for dx, dy in ((-0.4, 0.3), (0.4, 0.3), (0, -0.1)):
            draw.circle((x + dx * reach, y + dy * reach), reach * 0.5, colour, dark, max(1, int(reach / 20)))
            draw.circle((x + (dx - 0.15) * reach, y + (dy - 0.15) * reach), reach * 0.12, bright)
        draw.ellipse((x, y - reach, x + reach * 0.7, y - reach * 0.55), (86, 150, 70))
    elif kind == 1:
        petals = int(rng.integers(3, 9))
        for turn in np.arange(petals) * 2 * np.pi / petals:
            tip, left, right = ((x + np.sin(turn + d) * reach * far, y - np.cos(turn + d) * reach * far) for d, far in ((0, 1), (-0.4, 0.6), (0.4, 0.6)))
            draw.polygon([(x, y), left, tip, right], colour, dark)
        draw.circle((x, y), reach * 0.2, bright)
    elif kind == 2:
        draw.polygon([(x, y - reach), (x - reach * 0.58, y + reach * 0.02), (x + reach * 0.58, y + reach * 0.02)], colour)
        draw.circle((x, y + reach * 0.3), reach * 0.65, colour)
        draw.circle((x - reach * 0.25, y + reach * 0.3), reach * 0.16, bright)
    else:
        draw.circle((x, y), reach, bright)
        draw.regular_polygon((x, y, reach * 0.9), int(rng.integers(3, 7)), int(rng.integers(90)), dark)


def cloth(product: Product, side: int) -> Image.Image:
    """A square of fabric in the colour of the variant: plain, striped, checked or dotted."""
    rng = np.random.default_rng([product.design, 1])
    art = Image.new("RGB", (side, side), product.accent)
    draw, unit, kind = ImageDraw.Draw(art), int(rng.integers(24, 80)), rng.integers(7)
    second, share = mix(product.base, WHITE, rng.uniform(0, 0.6)), rng.uniform(0.2, 1)
    for at in range(0, side, unit * 2):
        if kind < 2:
            draw.rectangle((0, at, side, at + unit * share), second)
        if kind == 1:
            draw.rectangle((at, 0, at + unit * share, side), mix(product.accent, second, 0.6))
        if kind == 2:
            for across in range(0, side, unit * 2):
                draw.circle((across + at // unit // 2 % 2 * unit, at), unit * share * 0.6, second)
    if kind == 3:
        draw.rectangle((0, side * 0.35, side, side * (0.4 + share * 0.2)), second)
    return art
