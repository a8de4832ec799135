"""Things drawn from their outline: garments, shoes, bags, pouches, phones; their relief comes from blurred masks."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import cloth, ink_on, label, mix, write
from model_training.sample.photograph import noise
from model_training.sample.products import Product
from model_training.sample.shapes import CUTOUTS, SOFT
from model_training.sample.solids import role_colours

SIDE = 640  # of the square a thing is drawn in; pictures show it at about half of that, which smooths its edges
Points = NDArray[np.float64]


def cut_out(product: Product, rng: np.random.Generator) -> Image.Image:
    """A product as RGBA, seen from the front, with folds and relief."""
    design = np.random.default_rng([product.design, 4])
    colours, stretch = role_colours(product, design), design.uniform(0.86, 1.0, 2)
    picture, whole = Image.new("RGB", (SIDE, SIDE)), Image.new("L", (SIDE, SIDE))
    relief = np.zeros((SIDE // 8, SIDE // 8), np.float32)
    for piece in CUTOUTS[product.shape].split("; "):
        role, how, *pairs = piece.split()
        points = ((np.array([pair.split(",") for pair in pairs], float) - 50) * stretch + 50) * SIDE / 100
        if role == "print":
            _print(picture, product, points)
            continue
        mask = _mask(points, how)
        if role == "art":
            left, top, right, bottom = mask.getbbox() or (0, 0, SIDE, SIDE)
            picture.paste(label(product, right - left, bottom - top), (left, top), mask.crop((left, top, right, bottom)))
        else:
            picture.paste(cloth(product, SIDE) if role == "cloth" else colours[role], (0, 0, SIDE, SIDE), mask)
        whole = ImageChops.lighter(whole, mask)
        if "/" not in how:
            small = mask.reduce(8)
            relief += np.asarray(small.filter(ImageFilter.GaussianBlur(5)), np.float32) / 90
            relief += np.asarray(small.filter(ImageFilter.GaussianBlur(1.5)), np.float32) / 330
    relief += (noise(rng, SIDE // 8, 3, 3) + 0.5 * noise(rng, SIDE // 8, 9, 4)) * SOFT.get(product.shape, 0.1) * 1.6
    down, across = np.gradient(relief)
    level = 132 + (down + across * rng.choice([-1, 1])) * 120 + np.linspace(10, -14, SIDE // 8)[:, None]
    light = Image.fromarray(np.clip(level, 56, 220).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    picture = ImageChops.hard_light(picture, light.convert("RGB"))
    picture.putalpha(whole)
    return picture.crop(whole.getbbox())


def _mask(points: Points, how: str) -> Image.Image:
    """Where a piece is; `how` is what `shapes.CUTOUTS` says of it: corners cut so often, mirrored, a line so wide."""
    rounds, _, line = how.partition("/")
    mask, flipped = Image.new("L", (SIDE, SIDE)), (SIDE, 0) + points * (-1, 1)
    draw, sides = ImageDraw.Draw(mask), [points, flipped] if "m" in rounds else [points]
    if not line and "m" in rounds and points[:, 0].max() >= SIDE / 2 - 1:  # the halves meet: one outline
        sides = [np.concatenate([points, flipped[::-1]])]
    for outline in sides:
        for _ in range(int(rounds[0])):  # Chaikin's corner cutting; the ends of a line stay
            before, after = (outline[:-1], outline[1:]) if line else (outline, np.roll(outline, -1, 0))
            cut = np.stack([before * 0.75 + after * 0.25, before * 0.25 + after * 0.75], 1).reshape(-1, 2)
            outline = np.concatenate([outline[:1], cut, outline[-1:]]) if line else cut
        if line:
            draw.line(outline.ravel().tolist(), 255, max(2, int(float(line) * SIDE / 100)), "curve")
        else:
            draw.polygon(outline.ravel().tolist(), 255)
    return mask


def _print(picture: Image.Image, product: Product, points: Points) -> None:
    """What is printed or embroidered between two corners: brand, code, and the size or the variant."""
    (left, top), (right, bottom), draw = *points, ImageDraw.Draw(picture)
    red, green, blue = picture.getpixel((int(left + right) // 2, int(top + bottom) // 2))
    ink = mix(ink_on((red, green, blue)), product.base, 0.4 * (product.design % 2))
    for text, upper, lower in ((product.brand, 0, 0.45), (product.code, 0.48, 0.74), (product.size or product.variant[0], 0.76, 1)):
        write(draw, (left, top + (bottom - top) * upper, right, top + (bottom - top) * lower), text, ink, 0.04 * (upper == 0))
