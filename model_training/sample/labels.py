"""What is printed on a product: brand, name, variant and size over a decoration."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model_training.sample.products import Colour, Product, shop

WHITE, BLACK = (250, 249, 246), (26, 25, 30)
Box = tuple[float, float, float, float]  # left, top, right, bottom


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


def write(draw: ImageDraw.ImageDraw, box: Box, text: str, ink: Colour, weight: float = 0.03) -> None:
    """Write one line as large as the box allows, centred; `weight` thickens it."""
    left, top, right, bottom = box
    size = int(max(8, min((bottom - top) * 0.9, (right - left) / font(100).getlength(text) * 94))) // 2 * 2
    draw.text(((left + right) / 2, (top + bottom) / 2), text, ink, font(size), "mm", stroke_width=round(size * weight))


def label(product: Product, width: int, height: int) -> Image.Image:
    """The printed face of a pack; a family's faces differ in the colour of the variant and in what is written."""
    rng, accent = np.random.default_rng(product.design), product.accent
    ground = (product.base, mix(product.base, WHITE, 0.88), accent, mix(accent, WHITE, 0.8))[rng.integers(4)]
    second = accent if ground != accent else mix(product.base, BLACK, 0.3)
    art = decorated(rng, width, height, ground, second)
    draw, across, down = ImageDraw.Draw(art), width / 100, height / 100
    panels = shop().panels["wide" if width > height * 1.25 else str(rng.choice(["brand above", "brand below"]))]
    brand, noun, emblem, variant, size = ((a * across, b * down, c * across, d * down) for a, b, c, d in panels)
    plate = (ground, mix(product.base, BLACK, 0.6), WHITE)[rng.integers(3)]
    draw.rounded_rectangle((*brand[:3], noun[3]), (brand[3] - brand[1]) * rng.uniform(0, 0.4), plate)
    name = (product.brand, product.brand.upper())[rng.integers(2)]
    write(draw, brand, name, ink_on(plate), rng.choice([0.0, 0.025, 0.05]))
    write(draw, noun, product.names[rng.integers(2)].upper(), ink_on(plate), 0)
    _emblem(draw, rng, emblem, accent)
    for box, text, paper in ((variant, product.variant[0].title(), second), (size, product.size or "Original", ground)):
        draw.rounded_rectangle(box, (box[3] - box[1]) * 0.3, paper)
        write(draw, box, text, ink_on(paper))
    return art


def decorated(rng: np.random.Generator, width: int, height: int, ground: Colour, colour: Colour) -> Image.Image:
    """A printed ground or cloth: plain, bands, slopes, waves, stripes, checks, dots or rays."""
    kind, unit, share = rng.integers(8), max(8, int(width * rng.uniform(0.05, 0.15))), rng.uniform(0.3, 1.2)
    art, soft = Image.new("RGB", (width, height), ground), mix(colour, ground, rng.uniform(0, 0.5))
    draw, x, level = ImageDraw.Draw(art), np.arange(0, width + 8, 8), rng.uniform(0.35, 0.7) * height
    swell, slope = rng.choice([0, 16]), rng.choice([0, 0.3])
    for step in range(rng.integers(1, 4) if kind < 3 else 0):
        crest = level + step * height / 9 - x * slope + np.sin(x / width * 6 + step) * swell
        hill = [0, height, *np.stack([x, crest], 1).ravel().tolist(), width + 8, height]
        draw.polygon(hill, mix(soft, colour, step / 2))
    for left in range(0, width + unit, unit * 2):
        if kind in (4, 5):
            draw.rectangle((left, 0, left + unit * share, height), soft)
        for top in range(0, height + unit, unit * 2):
            if kind == 5:
                draw.rectangle((0, top, width, top + unit * share / 2), mix(soft, ground, 0.4))
            if kind == 6:
                draw.circle((left + top // unit // 2 % 2 * unit, top), unit * share * 0.5, soft)
    for angle in range(0, 360 if kind == 7 else 0, 30):
        draw.pieslice((-width, -height, width * 2, height * 2), angle, angle + 15, soft)
    return art


def _emblem(draw: ImageDraw.ImageDraw, rng: np.random.Generator, box: Box, colour: Colour) -> None:
    """A flower, or fruit with a leaf, in the colour of the variant."""
    x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, min(box[2] - box[0], box[3] - box[1]) / 2
    many, far = int(rng.integers(1, 9)), rng.uniform(0.45, 0.65)
    for turn in np.arange(many) * 2 * np.pi / many + 0.5:
        petal = x + np.sin(turn) * reach * far, y + np.cos(turn) * reach * far
        draw.circle(petal, reach * (1 - far), colour, mix(colour, BLACK, 0.35), max(1, int(reach / 20)))
        draw.circle((petal[0] - reach * 0.15, petal[1] - reach * 0.15), reach * 0.1, mix(colour, WHITE, 0.6))
    if rng.random() < 0.5:
        draw.circle((x, y), reach * 0.4, mix(colour, WHITE, 0.6))
    else:
        draw.ellipse((x, y - reach, x + reach * 0.7, y - reach * 0.55), (86, 150, 70))
