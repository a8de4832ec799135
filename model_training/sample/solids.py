"""Solid things: what a lathe turns (bottles, cans, mugs, lamps) and boxes, lit from one side."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from model_training.sample.labels import BLACK, WHITE, ink_on, label, mix, write
from model_training.sample.products import Colour, Product
from model_training.sample.shapes import BOXES, OPEN, TURNED

TALL = 620  # height of a drawn solid; pictures show it at about half of that, which smooths its edges


def turned(product: Product, rng: np.random.Generator) -> Image.Image:
    """A turned product as RGBA, seen a little from above and turned a little about its axis."""
    profile, bands, places, gloss = TURNED[product.shape]
    design = np.random.default_rng([product.design, 2])
    heights, radii = np.array([pair.split(",") for pair in profile.split()], float).T
    stoutness = design.uniform(0.85, 1.2) * (0.92 + 0.05 * product.bulk)
    radius = np.interp(np.arange(TALL) / TALL * 100, heights, radii) * TALL / 100 * stoutness
    radius = np.convolve(np.pad(radius, 5, "edge"), np.ones(11) / 11, "valid").astype(np.float32)
    texture = _wrapping(product, bands, places, int(radius.max() * 2 * np.pi), design)
    tilt, yaw, side, widest = rng.uniform(0.06, 0.22), rng.uniform(-0.35, 0.35), rng.choice([-1, 1]), int(radius.max()) + 2
    pad = int(tilt * widest) + 2
    y, x = np.mgrid[-pad : TALL + pad, -widest : widest + 1].astype(np.float32)
    row = y.astype(np.int32)
    for _ in range(2):  # a point at depth d of the front stands tilt * d lower in the picture
        around = radius[np.clip(row, 0, TALL - 1)]
        row = (y - tilt * np.sqrt(np.maximum(around * around - x * x, 0))).astype(np.int32)
    inside = (row >= 0) & (row < TALL)
    row = np.clip(row, 0, TALL - 1)
    across = x / radius[row]
    inside &= np.abs(across) < 1
    step = ((np.clip(across, -1, 1) + 1) * 511.5).astype(np.int32)
    grid = np.linspace(-1, 1, 1024)
    turn = ((np.arcsin(grid) + yaw) / (2 * np.pi) + 0.5) * texture.shape[1]
    colour = texture[row, turn.astype(np.int32)[step]]
    lit = 62 + 76 * np.sqrt(np.clip(1 - (grid * side + 0.3) ** 2, 0, 1))
    lit += (np.exp(-(((grid * side + 0.52) / 0.1) ** 2)) * 80 + np.exp(-(((grid * side - 0.78) / 0.06) ** 2)) * 40) * gloss
    level = np.clip(lit.astype(np.int16)[step] + (np.gradient(radius).clip(-1, 1) * 22).astype(np.int16)[row], 0, 255)
    picture = Image.fromarray(colour.view(np.uint8).reshape(*colour.shape, 4)).convert("RGB")
    picture = ImageChops.hard_light(picture, Image.fromarray(level.astype(np.uint8)).convert("RGB"))
    picture.putalpha(Image.fromarray(inside.astype(np.uint8) * 255))
    return _furnish(picture, product, float(radius[0]), tilt, pad, design)


def _wrapping(
    product: Product, bands: str, places: tuple[int, int], around: int, design: np.random.Generator
) -> NDArray[np.uint32]:
    """The surface unrolled, (TALL, around), four bytes a pixel: bands of colour, and the label in the middle."""
    roles, words, top = role_colours(product, design), bands.split(), 0
    sheet = Image.new("RGBA", (around, TALL))
    for role, until in zip(words[::2], words[1::2], strict=True):
        sheet.paste(roles[role], (0, top, around, int(until) * TALL // 100))
        top = int(until) * TALL // 100
    start, end = (place * TALL // 100 for place in places)
    if end > start:
        front = label(product, int(around * 0.37), end - start)
        if design.random() < 0.7:  # else a sticker on the bare body
            sheet.paste(front.crop((0, 0, 1, front.height)).resize((around, front.height)), (0, start))
        sheet.paste(front, ((around - front.width) // 2, start))
    return np.asarray(sheet).view(np.uint32)[..., 0]


def role_colours(product: Product, design: np.random.Generator) -> dict[str, Colour]:
    """What colour each part of a product has."""
    base, accent = product.base, product.accent
    return {
        "body": (base, accent, mix(accent, WHITE, 0.6), WHITE)[design.integers(4)],
        "cap": (WHITE, (44, 44, 50), mix(base, BLACK, 0.35), accent)[design.integers(4)],
        "accent": accent, "metal": (190, 192, 198), "dark": mix(accent, BLACK, 0.6), "white": WHITE,
        "second": mix(base, WHITE, 0.25), "black": (34, 34, 38), "seam": mix(accent, BLACK, 0.3),
    }  # fmt: skip


def _furnish(
    picture: Image.Image, product: Product, radius: float, tilt: float, pad: int, design: np.random.Generator
) -> Image.Image:
    """Add what is not turned: the top or the opening, the handle of a mug, the spout of a pump, what grows in a pot."""
    room, crown = int(TALL * 0.2), int(TALL * 0.5) if product.shape in ("planter", "vase") else 0
    canvas = Image.new("RGBA", (picture.width + room * 2, picture.height + crown))
    draw, middle, top = ImageDraw.Draw(canvas), canvas.width / 2, crown + pad
    if product.shape == "mug":
        right, ring = middle + picture.width * 0.44, TALL * 0.075
        for inset, shade in ((0, 0.2), (2, 0.0), (ring * 0.55, 0.35)):
            draw.ellipse((right - room, top + TALL * 0.2 + inset, right + room * 0.95 - inset, top + TALL * 0.72 - inset), outline=mix(product.accent, BLACK, shade), width=int(ring - inset))
    if product.shape == "pump":
        draw.rounded_rectangle((middle - TALL * 0.15, top - 4, middle + TALL * 0.04, top + TALL * 0.05), 8, mix(product.base, WHITE, 0.5))
    canvas.alpha_composite(picture, (room, crown))
    red, green, blue, _ = canvas.getpixel((int(middle), int(top + tilt * radius + 8)))
    inner = (40, 32, 28) if product.shape == "mug" else mix((red, green, blue), BLACK, 0.5)
    rim = mix((red, green, blue), WHITE, 0.25)
    for share, colour in ((1, rim), (0.92, inner))[: 1 + (product.shape in OPEN)]:
        draw.ellipse((middle - radius * share, top - tilt * radius * share, middle + radius * share, top + tilt * radius * share), colour)
    if crown:
        green, bloom = (60 + int(design.integers(60)), 130, 70), product.base
        for lean in design.permutation(np.linspace(-0.9, 0.9, int(design.integers(5, 16)))):
            foot, length = (middle + lean * radius * 0.5, top + 6), crown * design.uniform(0.6, 0.95)
            tip = (middle + np.sin(lean) * length, top - np.cos(lean) * length)
            bend = ((foot[0] * 0.45 + tip[0] * 0.55 - 26, (foot[1] + tip[1]) / 2), (foot[0] * 0.45 + tip[0] * 0.55 + 26, (foot[1] + tip[1]) / 2))
            draw.polygon([foot, bend[0], tip, bend[1]], mix(green, BLACK if lean < 0 else WHITE, design.uniform(0, 0.35)))
            if product.shape == "vase":
                draw.regular_polygon((*tip, 34), 7, 0, bloom, mix(bloom, BLACK, 0.3))
                draw.circle(tip, 12, (250, 214, 90))
    return canvas.crop(canvas.getbbox())


def boxed(product: Product, rng: np.random.Generator) -> Image.Image:
    """A box as RGBA, seen from a corner and a little from above."""
    design = np.random.default_rng([product.design, 3])
    width, height, depth = np.array(BOXES[product.shape]) * design.uniform(0.88, 1.12, 3) * (0.9 + 0.06 * product.bulk)
    colour = (product.base, product.accent)[design.integers(2)]
    front = label(product, int(width * 6), int(height * 6))
    edge, lid = (Image.new("RGB", size, colour) for size in ((int(depth * 6), front.height), (front.width, int(depth * 6))))
    for face, (upper, lower) in ((edge, (0.06, 0.2)), (lid, (0.2, 0.8))):
        write(ImageDraw.Draw(face), (face.width * 0.1, face.height * upper, face.width * 0.9, face.height * lower), product.brand, ink_on(colour), 0.03)
    for line in range(9):
        top, right = edge.height * (0.45 + line * 0.045), edge.width * design.uniform(0.5, 0.85)
        ImageDraw.Draw(edge).rectangle((edge.width * 0.15, top, right, top + 4), mix(colour, ink_on(colour), 0.6))
    yaw, pitch = rng.uniform(0.12, 0.65) * rng.choice([-1, 1]), rng.uniform(0.08, 0.35)
    x, y, z = (np.array([[x, y, z] for z in (-depth, depth) for y in (-height, height) for x in (-width, width)]) / 2).T
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), z * np.cos(pitch) + y * np.sin(pitch)
    flat = np.stack([x, y], 1) * (520 / (520 + z))[:, None] * 6
    flat -= flat.min(0) - 2
    canvas = Image.new("RGBA", (int(flat[:, 0].max()) + 3, int(flat[:, 1].max()) + 3))
    side_corners, side_light = ([1, 5, 7, 3] if yaw > 0 else [4, 0, 2, 6]), rng.choice([0.68, 0.86])
    for face, corners, light in ((edge, side_corners, side_light), (lid, [4, 5, 1, 0], 1.07), (front, [0, 1, 3, 2], 0.95)):
        stand(canvas, face.point([min(255, int(level * light)) for level in range(256)] * 3).convert("RGBA"), flat[corners])
    return canvas


def stand(canvas: Image.Image, picture: Image.Image, corners: NDArray[np.float64]) -> None:
    """Paste an RGBA picture with its corners (clockwise from the top left, (4, 2)) at these places of the canvas."""
    left, top = np.floor(corners.min(0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
    rows, source = [], np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * picture.size
    for (x, y), (u, v) in zip(corners - (left, top), source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = np.linalg.solve(np.array(rows), source.ravel().astype(float)).tolist()
    warped = picture.transform((right - left, bottom - top), Image.Transform.PERSPECTIVE, solved, Image.Resampling.BILINEAR)
    canvas.paste(warped, (left, top), warped)
