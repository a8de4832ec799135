"""Things drawn from their outline: garments, shoes, bags, pouches, phones; their relief comes from blurred masks."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import WHITE, decorated, ink_on, label, mix, write
from model_training.sample.photograph import noise
from model_training.sample.products import Product, shop
from model_training.sample.solids import role_colours

SIDE = 640  # of the square a thing is drawn in; pictures show it at about half of that, which smooths its edges


def cut_out(product: Product, rng: np.random.Generator) -> Image.Image:
    """A product as RGBA, seen from the front, with folds and relief."""
    folds, *pieces = shop().cutouts[product.shape]
    design = np.random.default_rng([product.design, 4])
    colours, stretch = role_colours(product, design), design.uniform(0.86, 1.0, 2)
    cloth = decorated(design, SIDE, SIDE, product.accent, mix(product.base, WHITE, design.uniform(0, 0.6)))
    picture, whole = Image.new("RGB", (SIDE, SIDE)), Image.new("L", (SIDE, SIDE))
    relief = noise(rng, SIDE // 8, 3, 3) + 0.5 * noise(rng, SIDE // 8, 9, 4)
    relief *= float(folds) * 1.6
    for piece in pieces:
        role, how, *pairs = piece.split()
        points = ((np.array([pair.split(",") for pair in pairs], float) - 50) * stretch + 50) * SIDE / 100
        if role == "print":
            _print(picture, product, *points.ravel().tolist())
            continue
        mask = _mask(points, how)
        box = mask.getbbox() or (0, 0, SIDE, SIDE)
        art = label(product, box[2] - box[0], box[3] - box[1]) if role == "art" else cloth.crop(box)
        picture.paste(art if role in ("art", "cloth") else colours[role], box, mask.crop(box))
        whole = ImageChops.lighter(whole, mask)
        for blur, height in ((5, 90), (1.5, 330)) if "/" not in how else ():
            relief += np.asarray(mask.reduce(8).filter(ImageFilter.GaussianBlur(blur)), np.float32) / height
    down, across = np.gradient(relief)
    level = 132 + (down + across * rng.choice([-1, 1])) * 120 + np.linspace(10, -14, SIDE // 8)[:, None]
    light = Image.fromarray(np.clip(level, 56, 220).astype(np.uint8)).resize((SIDE, SIDE))
    picture = ImageChops.hard_light(picture, light.convert("RGB"))
    picture.putalpha(whole)
    return picture.crop(whole.getbbox())


def _mask(points: NDArray[np.float64], how: str) -> Image.Image:
    """Where a piece is; `how` is what `shop.toml` says: corners cut so often, mirrored or not, a line so wide."""
    rounds, _, line = how.partition("/")
    mask, flipped = Image.new("L", (SIDE, SIDE)), (SIDE, 0) + points * (-1, 1)
    draw, outlines = ImageDraw.Draw(mask), [points, flipped] if "m" in rounds else [points]
    if not line and "m" in rounds and points[:, 0].max() >= SIDE / 2 - 1:  # the halves meet: one outline
        outlines = [np.concatenate([points, flipped[::-1]])]
    for outline in outlines:
        for _ in range(int(rounds[0])):  # Chaikin's corner cutting; the ends of a line stay
            before, after = (outline[:-1], outline[1:]) if line else (outline, np.roll(outline, -1, 0))
            cut = np.stack([before * 0.75 + after * 0.25, before * 0.25 + after * 0.75], 1).reshape(-1, 2)
            outline = np.concatenate([outline[:1], cut, outline[-1:]]) if line else cut
        if line:
            draw.line(outline.ravel().tolist(), 255, max(2, int(float(line) * SIDE / 100)), "curve")
        else:
            draw.polygon(outline.ravel().tolist(), 255)
    return mask


def _print(picture: Image.Image, product: Product, left: float, top: float, right: float, bottom: float) -> None:
    """What is printed or embroidered in a box: brand, code, and the size or the variant."""
    red, green, blue = picture.crop((int(left), int(top), int(right), int(bottom))).resize((1, 1)).tobytes()
    ink, line = mix(ink_on((red, green, blue)), product.base, 0.4 * (product.design % 2)), (bottom - top) / 100
    texts = (product.brand, product.code, product.size or product.variant[0])
    for text, upper, lower in zip(texts, (0, 48, 76), (45, 74, 100), strict=True):
        write(ImageDraw.Draw(picture), (left, top + upper * line, right, top + lower * line), text, ink)
