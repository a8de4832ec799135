"""Things drawn from their outline: garments, shoes, bags, pouches, phones; their relief comes from blurred masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import cloth, ink_on, label, write
from model_training.sample.products import Product
from model_training.sample.solids import role_colours
from model_training.sample.textures import noise

SIDE = 720  # of the square a thing is drawn in; pictures show it at about half of that, which smooths its edges
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece, in percent of the square. `rounds`: how often corners are cut; `line`: its width, 0 for a filled one."""

    role: str
    outline: str
    rounds: int = 2
    mirrored: bool = False
    line: float = 0


CUTOUTS: dict[str, tuple[Part, ...]] = {
    "shirt": (
        Part("cloth", "50,13 43,12 37,7 23,12 3,36 15,46 26,36 25,70 24,95 50,96", 1, True),
        Part("dark", "50,19 43,16 38,8 37,6 40,5 43,11 50,14", 1, True), Part("print", "37,28 63,28 63,58 37,58", 0),
        Part("seam", "26,36 25,24 27,14", 2, True, 0.5), Part("seam", "24,92 50,93", 0, True, 0.4),
    ),
    "hoodie": (
        Part("cloth", "50,15 40,12 34,9 22,14 12,48 6,86 17,90 27,52 25,94 50,96", 1, True),
        Part("dark", "50,27 40,22 33,11 40,3 50,2", 2, True), Part("body cloth", "50,30 41,24 36,12 42,10 46,17 50,18", 2, True),
        Part("cloth", "50,67 36,67 30,84 50,84", 0, True), Part("seam", "50,67 36,67 30,84", 0, True, 0.5),
        Part("white", "45,24 45,44", 0, True, 0.8), Part("print", "38,36 62,36 62,60 38,60", 0), Part("dark", "25,90 50,92 50,96 25,95", 0, True),
    ),
    "trousers": (
        Part("cloth", "50,5 31,5 28,30 24,96 42,97 50,40", 1, True), Part("dark", "50,4 31,4 31,10 50,10", 0, True),
        Part("second", "30,12 27,40 25,92 28,92 30,40 32,12", 0, True), Part("seam", "33,12 30,24", 1, True, 0.6), Part("white", "48,9 46,20", 1, True, 0.7),
        Part("print", "31,20 41,20 41,30 31,30", 0),
    ),
    "dress": (
        Part("cloth", "50,13 44,12 40,4 36,4 35,20 37,38 28,68 18,95 50,98", 1, True), Part("second", "50,36 36.5,36 36,41 50,41", 0, True),
        Part("seam", "44,42 40,70 36,94", 1, True, 0.5), Part("dark", "50,17 44,14 40,4 42,4 45,11 50,13", 1, True),
        Part("print", "44,20 56,20 56,32 44,32", 0),
    ),
    "cap": (
        Part("accent", "12,64 12,44 24,24 46,18 66,24 80,42 82,64"), Part("dark", "30,62 60,56 84,56 98,72 96,77 74,68 48,66"),
        Part("seam", "46,18 40,40 40,63", 2, False, 0.6), Part("seam", "46,18 62,36 66,60", 2, False, 0.6), Part("dark", "43,18 46,15 50,18 46,20"),
        Part("print", "42,30 64,32 66,52 42,54", 0),
    ),
    "shoe": (
        Part("accent", "5,72 6,52 10,34 24,28 34,40 48,46 62,58 82,62 95,70 96,76", 2), Part("second", "70,74 70,60 84,62 96,70 96,76", 2),
        Part("dark", "5,72 6,52 10,34 17,31 18,50 22,74", 2), Part("white", "3,72 50,73 97,73 98,80 92,86 50,85 8,86 3,82", 2), Part("dark", "4,84 96,84 92,89 8,89", 1),
        Part("second", "30,73 48,52 54,55 44,73", 1), Part("white", "34,44 44,38", 0, False, 1.6), Part("white", "41,48 51,42", 0, False, 1.6),
        Part("white", "48,53 58,47", 0, False, 1.6), Part("dark", "10,35 22,27 33,39 24,44", 2), Part("print", "56,60 70,64 68,72 54,70", 0),
    ),
    "bag": (
        Part("dark", "30,42 30,18 40,7 50,6", 3, True, 3), Part("accent", "50,37 16,37 11,60 7,90 12,95 50,95", 2, True),
        Part("second", "50,36 15,36 14,42 50,42", 0, True), Part("dark", "27,36 33,36 33,52 30,55 27,52", 1, True), Part("metal", "27,46 33,46 33,49 27,49", 0, True),
        Part("print", "36,56 64,56 64,82 36,82", 0),
    ),
    "backpack": (
        Part("dark", "40,10 40,3 50,2", 2, True, 2.4), Part("accent", "50,6 32,8 22,18 18,50 18,90 24,96 50,96", 2, True),
        Part("second", "50,52 28,52 25,60 26,86 30,90 50,90", 2, True), Part("dark", "50,55 31,55", 0, True, 1), Part("seam", "50,24 24,26", 1, True, 1),
        Part("metal", "64,54 66,54 66,64 64,64", 1), Part("print", "36,30 64,30 64,46 36,46", 0),
    ),
    "headphones": (
        Part("dark", "15,58 15,28 32,9 50,7", 3, True, 5), Part("second", "26,16 38,9 50,8", 2, True, 3),
        Part("metal", "14,44 14,60", 0, True, 3), Part("accent", "5,52 16,46 25,52 26,76 20,88 8,86 4,70", 3, True),
        Part("black", "20,52 28,50 32,60 31,80 26,88 19,84", 3, True), Part("print", "8,62 20,62 20,72 8,72", 0),
    ),
    "phone": (
        Part("dark", "27,5 29,2 50,2 71,2 73,5 73,95 71,98 50,98 29,98 27,95", 2), Part("art", "29,7 30,4 70,4 71,7 71,93 70,96 30,96 29,93", 2),
        Part("black", "48.5,6 50,5 51.5,6 50,7.5", 2),
    ),
    "phone back": (
        Part("accent", "27,5 29,2 50,2 71,2 73,5 73,95 71,98 50,98 29,98 27,95", 2), Part("dark", "30,7 32,5 50,5 52,7 52,27 50,29 32,29 30,27", 2),
        Part("glass", "32,11 36,6 41,11 36,16", 3), Part("glass", "32,22 36,17 41,22 36,27", 3), Part("glass", "42,17 46,12 51,17 46,21", 3),
        Part("white", "43,8 46,6 48,8 46,10", 2), Part("print", "36,70 64,70 64,88 36,88", 0),
    ),
    "watch": (
        Part("accent", "38,30 40,2 60,2 62,30", 0), Part("accent", "38,70 40,98 60,98 62,70", 0), Part("seam", "40,6 40,30", 0, True, 0.4),
        Part("metal", "24,50 27,34 40,25 50,24 60,25 73,34 76,50 73,66 60,75 50,76 40,75 27,66", 3), Part("metal", "75,47 79,47 79,53 75,53", 1),
        Part("body", "29,50 31,38 41,30 50,29 59,30 69,38 71,50 69,62 59,70 50,71 41,70 31,62", 3), Part("print", "42,54 58,54 58,66 42,66", 0),
        Part("black", "50,50 50,34", 0, False, 1.1), Part("black", "50,50 62,45", 0, False, 1.4), Part("accent", "50,50 40,62", 0, False, 0.6),
    ),
    "glasses": (
        Part("accent", "6,36 4,30 10,28", 1, True, 2), Part("glass", "9,38 24,34 45,38 44,54 34,64 18,62 10,52", 3, True),
        Part("accent", "8,38 24,34 45,38 44,54 34,64 18,62 10,52 8,38 24,34", 2, True, 2.6), Part("accent", "44,42 50,39", 1, True, 2.6),
        Part("print", "12,74 50,74 50,90 12,90", 0),
    ),
    "drive": (
        Part("metal", "30,20 32,4 66,4 68,20 68,34 30,34", 1), Part("black", "38,10 46,10 46,17 38,17", 0), Part("black", "53,10 61,10 61,17 53,17", 0),
        Part("accent", "24,34 28,28 50,28 72,28 76,34 76,88 70,96 50,97 30,96 24,88", 2), Part("print", "32,42 68,42 68,84 32,84", 0),
    ),
    "power bank": (
        Part("accent", "24,8 28,3 50,3 72,3 76,8 76,92 72,97 50,97 28,97 24,92", 2), Part("black", "42,4 58,4 58,8 42,8", 1),
        Part("white", "32,16 33,15 34,16 33,17", 2), Part("white", "37,16 38,15 39,16 38,17", 2), Part("print", "32,26 68,26 68,80 32,80", 0),
    ),
    "pan": (
        Part("dark", "62,44 98,30 99,36 66,54", 1), Part("accent", "3,56 8,38 24,28 40,26 58,30 72,42 74,56 70,70 56,80 38,83 20,78 8,68", 3),
        Part("black", "8,55 13,41 26,33 40,31 55,35 67,45 69,55 65,66 53,74 38,77 23,73 12,65", 3), Part("print", "26,46 52,46 52,66 26,66", 0),
    ),
    "pouch": (
        Part("art", "14,4 50,5 86,4 88,12 85,30 84,70 88,90 86,96 50,95 14,96 12,90 16,70 15,30 12,12", 2),
        Part("seam", "15,9 85,9", 0, False, 0.6), Part("seam", "15,11 85,11", 0, False, 0.6), Part("seam", "14,92 86,92", 0, False, 0.6),
    ),
}  # fmt: skip
SOFT = {"shirt": 1.0, "hoodie": 1.2, "trousers": 1.0, "dress": 1.1, "bag": 0.5, "backpack": 0.6, "pouch": 1.0, "shoe": 0.4, "cap": 0.4}


def cut_out(product: Product, rng: np.random.Generator) -> Image.Image:
    """A product as RGBA, seen from the front, with folds and relief."""
    shape = product.good.shape
    if shape == "phone" and (product.good.english == "phone case" or rng.random() < 0.3):
        shape = "phone back"
    design = np.random.default_rng([product.design, 4])
    colours, whole = role_colours(product, design), Image.new("L", (SIDE, SIDE))
    picture, relief = Image.new("RGB", (SIDE, SIDE)), np.zeros((SIDE // 8, SIDE // 8), np.float32)
    stretch = 50 + (np.array([50, 50]) * design.uniform(0.86, 1.0, 2))
    for part in CUTOUTS[shape]:
        points = np.array([pair.split(",") for pair in part.outline.split()], float)
        points = (points - 50) / 50 * (stretch - 50) + 50
        if part.role == "print":
            _print(picture, product, points * SIDE / 100)
            continue
        mask = _mask(points, part)
        if part.role == "art":
            left, top, right, bottom = mask.getbbox() or (0, 0, SIDE, SIDE)
            picture.paste(label(product, right - left, bottom - top), (left, top), mask.crop((left, top, right, bottom)))
        elif part.role == "cloth":
            picture.paste(cloth(product, SIDE), mask=mask)
        elif part.role == "seam":
            picture.paste(tuple(int(c * 0.6) for c in product.accent), mask=mask.point([level // 2 for level in range(256)]))
        else:
            picture.paste(colours.get(part.role, colours["dark"]), mask=mask)
        whole = ImageChops.lighter(whole, mask)
        small = mask.reduce(8)
        for reach in (2, 6):
            relief += np.asarray(small.filter(ImageFilter.GaussianBlur(reach)), np.float32) * (reach / 6) * (part.line == 0)
    picture = ImageChops.hard_light(picture, _shading(relief, SOFT.get(shape, 0.12), rng).convert("RGB"))
    picture.putalpha(whole)
    box = whole.getbbox()
    return picture.crop(box)


def _mask(points: Points, part: Part) -> Image.Image:
    """Where a part is, as an L picture; a closed outline is mirrored at the middle, a line is drawn on both sides."""
    mask = Image.new("L", (SIDE, SIDE))
    draw, flipped = ImageDraw.Draw(mask), np.array([100, 0]) + points * np.array([-1, 1])
    if part.line:
        for stroke in (points, flipped) if part.mirrored else (points,):
            smooth = _cut_corners(stroke, part.rounds, closed=0)
            draw.line([*map(tuple, smooth * SIDE / 100)], 255, max(2, int(part.line * SIDE / 100)), "curve")
    elif part.mirrored and points[:, 0].max() >= 50:
        around = _cut_corners(np.concatenate([points, flipped[::-1]]), part.rounds, closed=1)
        draw.polygon([*map(tuple, around * SIDE / 100)], 255)
    else:
        for outline in (points, flipped) if part.mirrored else (points,):
            draw.polygon([*map(tuple, _cut_corners(outline, part.rounds, closed=1) * SIDE / 100)], 255)
    return mask


def _cut_corners(points: Points, rounds: int, closed: int) -> Points:
    """Chaikin's corner cutting; the ends of an open line stay."""
    for _ in range(rounds):
        after = np.roll(points, -1, 0) if closed else points[1:]
        before = points if closed else points[:-1]
        cut = np.stack([before * 0.75 + after * 0.25, before * 0.25 + after * 0.75], 1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return points


def _shading(relief: NDArray[np.float32], softness: float, rng: np.random.Generator) -> Image.Image:
    """Light on a relief with folds, as an L picture where 128 leaves a colour as it is."""
    folds = noise(rng, relief.shape[0], 3, 3) + 0.5 * noise(rng, relief.shape[0], 9, 4)
    down, across = np.gradient(relief / 255 * 5 + folds * softness * 2.2)
    level = 128 + (down + across * rng.choice([-1, 1])) * 150 + np.linspace(14, -18, relief.shape[0])[:, None]
    return Image.fromarray(np.clip(level, 30, 225).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _print(picture: Image.Image, product: Product, points: Points) -> None:
    """What is printed or embroidered: brand, code or size, and a drawing; the same for the whole family."""
    design, draw = np.random.default_rng([product.design, 5]), ImageDraw.Draw(picture)
    (left, top), (right, bottom) = points.min(0), points.max(0)
    ground = picture.getpixel((int(left + right) // 2, int(top + bottom) // 2))
    ink = ink_on(ground) if isinstance(ground, tuple) else (0, 0, 0)
    ink = ink if design.random() < 0.6 else tuple(int(c) for c in (np.array(product.base) * 0.6 + np.array(ink) * 0.4))
    height = bottom - top
    write(draw, (left, top, right, top + height * 0.45), product.brand, ink, 0.04)
    write(draw, (left, top + height * 0.5, right, top + height * 0.75), product.code, ink)
    write(draw, (left, top + height * 0.76, right, bottom), product.size or product.variant, ink)
