"""Solid things: what a lathe turns (bottles, cans, mugs, lamps) and boxes, lit from one side."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from model_training.sample.labels import BLACK, WHITE, ink_on, label, mix, write
from model_training.sample.products import Colour, Product, shop

TALL = 620  # height of a drawn solid; pictures show it at about half of that, which smooths its edges


def turned(product: Product, rng: np.random.Generator) -> Image.Image:
    """A turned product as RGBA, seen a little from above and turned a little about its axis."""
    profile, bands, place, gloss = shop().turned[product.shape]
    design = np.random.default_rng([product.design, 2])
    heights, radii = np.array([pair.split(",") for pair in profile.split()], float).T
    stoutness = design.uniform(0.85, 1.2) * (0.92 + 0.05 * product.bulk)
    radius = np.interp(np.arange(TALL) / TALL * 100, heights, radii) * TALL / 100 * stoutness
    radius = np.convolve(np.pad(radius, 5, "edge"), np.ones(11) / 11, "valid").astype(np.float32)
    texture = _wrapping(product, bands, place, int(radius.max() * 2 * np.pi), design)
    tilt, yaw, side = rng.uniform(0.06, 0.22), rng.uniform(-0.35, 0.35), rng.choice([-1, 1])
    reach, pad = int(radius.max()) + 2, int(tilt * radius.max()) + 2
    y, x = np.mgrid[-pad : TALL + pad, -reach : reach + 1].astype(np.float32)
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
    column = ((np.arcsin(grid) + yaw) / (2 * np.pi) + 0.5) * texture.shape[1]
    colour = texture[row, column.astype(np.int32)[step]].view(np.uint8).reshape(*row.shape, 4)
    glints = np.exp(-(((grid * side + 0.52) / 0.1) ** 2)) * 80 + np.exp(-(((grid * side - 0.78) / 0.06) ** 2)) * 40
    lit = 62 + 76 * np.sqrt(np.clip(1 - (grid * side + 0.3) ** 2, 0, 1)) + glints * float(gloss)
    level = lit.astype(np.int16)[step] + (np.gradient(radius).clip(-1, 1) * 22).astype(np.int16)[row]
    light = Image.fromarray(np.clip(level, 0, 255).astype(np.uint8)).convert("RGB")
    picture = ImageChops.hard_light(Image.fromarray(colour).convert("RGB"), light)
    picture.putalpha(Image.fromarray(inside.astype(np.uint8) * 255))
    return _topped(picture, product, float(radius[0]), tilt)


def _wrapping(product: Product, bands: str, place: str, around: int, design: np.random.Generator) -> NDArray[np.uint32]:
    """The surface unrolled, (TALL, around), four bytes a pixel: bands of colour, and the label in the middle."""
    roles, words, top = role_colours(product, design), bands.split(), 0
    sheet = Image.new("RGBA", (around, TALL))
    for role, until in zip(words[::2], words[1::2], strict=True):
        sheet.paste(roles[role], (0, top, around, int(until) * TALL // 100))
        top = int(until) * TALL // 100
    start, end = (int(edge) * TALL // 100 for edge in place.split())
    if end > start:
        front = label(product, int(around * 0.37), end - start)
        if design.random() < 0.7:  # else a sticker on the bare body
            sheet.paste(front.crop((0, 0, 1, front.height)).resize((around, front.height)), (0, start))
        sheet.paste(front, ((around - front.width) // 2, start))
    return np.asarray(sheet).view(np.uint32)[..., 0]


def role_colours(product: Product, design: np.random.Generator) -> dict[str, Colour]:
    """What colour each part of a product has."""
    base, accent = product.base, product.accent
    body = (base, accent, mix(accent, WHITE, 0.6), WHITE)[design.integers(4)]
    cap = (WHITE, BLACK, mix(base, BLACK, 0.35), accent)[design.integers(4)]
    shades = {"dark": mix(accent, BLACK, 0.6), "second": mix(base, WHITE, 0.25), "seam": mix(accent, BLACK, 0.3)}
    plain = {"accent": accent, "metal": (190, 192, 198), "white": WHITE, "black": BLACK}
    return {"body": body, "cap": cap, **plain, **shades}


def _topped(body: Image.Image, product: Product, radius: float, tilt: float) -> Image.Image:
    """Add what one sees from above, the lid or the opening, and the handle of a mug."""
    canvas = Image.new("RGBA", (body.width + 240, body.height))
    draw, middle, top = ImageDraw.Draw(canvas), canvas.width / 2, (body.height - TALL) / 2
    if product.shape == "mug":
        ring = (middle + body.width * 0.25, top + 120, middle + body.width * 0.5 + 90, top + 440)
        for width, shade in ((46, 0.25), (20, 0.0)):
            draw.ellipse(ring, outline=mix(product.accent, BLACK, shade), width=width)
    canvas.alpha_composite(body, (120, 0))
    below = (int(middle), int(top + tilt * radius + 8))
    red, green, blue, _ = canvas.crop((*below, below[0] + 1, below[1] + 1)).tobytes()
    is_open = product.shape in ("mug", "planter", "vase", "candle")
    for across, paper in ((radius, WHITE), (radius * 0.92, BLACK))[: 1 + is_open]:
        lid = (middle - across, top - tilt * across, middle + across, top + tilt * across)
        draw.ellipse(lid, mix((red, green, blue), paper, 0.4))
    return canvas.crop(canvas.getbbox())


def boxed(product: Product, rng: np.random.Generator) -> Image.Image:
    """A box as RGBA, seen from a corner and a little from above."""
    design = np.random.default_rng([product.design, 3])
    width, height, depth = np.array(shop().boxes[product.shape], float) * design.uniform(0.8, 1, 3)
    height *= 1 + 0.06 * product.bulk
    colour, front = (product.base, product.accent)[design.integers(2)], label(product, int(width * 6), int(height * 6))
    edge, lid = (Image.new("RGB", (int(w * 6), int(h * 6)), colour) for w, h in ((depth, height), (width, depth)))
    for face, lower in ((edge, 0.2), (lid, 0.9)):
        box = (face.width * 0.1, face.height * 0.06, face.width * 0.9, face.height * lower)
        write(ImageDraw.Draw(face), box, product.brand, ink_on(colour))
    yaw, pitch = rng.uniform(0.12, 0.65) * rng.choice([-1, 1]), rng.uniform(0.08, 0.35)
    corners = np.array([[x, y, z] for z in (-depth, depth) for y in (-height, height) for x in (-width, width)]) / 2
    x, y, z = corners.T
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), z * np.cos(pitch) + y * np.sin(pitch)
    flat = np.stack([x, y], 1) * (520 / (520 + z))[:, None] * 6
    flat -= flat.min(0) - 2
    canvas = Image.new("RGBA", (int(flat[:, 0].max()) + 3, int(flat[:, 1].max()) + 3))
    seen, light = ([1, 5, 7, 3] if yaw > 0 else [4, 0, 2, 6]), rng.choice([0.68, 0.86])
    for face, places, gain in ((edge, seen, light), (lid, [4, 5, 1, 0], 1.07), (front, [0, 1, 3, 2], 0.95)):
        stand(canvas, scaled(face, (gain, gain, gain)).convert("RGBA"), flat[places])
    return canvas


def scaled(picture: Image.Image, gains: tuple[float, ...], gamma: float = 1.0) -> Image.Image:
    """A picture with each band made brighter or darker."""
    curve = np.linspace(0, 1, 256) ** gamma * 255
    return picture.point([int(level) for gain in gains for level in np.minimum(curve * gain, 255)])


def stand(canvas: Image.Image, picture: Image.Image, corners: NDArray[np.float64]) -> None:
    """Paste an RGBA picture with its corners (clockwise from the top left, (4, 2)) at these places of the canvas."""
    left, top = np.floor(corners.min(0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
    rows, source = [], np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * picture.size
    for (x, y), (u, v) in zip(corners - (left, top), source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = np.linalg.solve(np.array(rows), source.ravel().astype(float)).tolist()
    size, method = (right - left, bottom - top), Image.Transform.PERSPECTIVE
    warped = picture.transform(size, method, solved, Image.Resampling.BILINEAR)
    canvas.paste(warped, (left, top), warped)
