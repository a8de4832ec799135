"""Solid things: what a lathe turns (bottles, cans, mugs, lamps) and boxes, lit from one side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model_training.sample.labels import WHITE, decorate, ink_on, label, mix, write
from model_training.sample.products import Colour, Product

TALL = 720  # height of a drawn solid; pictures show it at about half of that, which smooths its edges


@dataclass(frozen=True, slots=True)
class Turned:
    """A turned body, in percent of its height: (height from the top, radius), bands of colour, where the label is."""

    profile: tuple[tuple[float, float], ...]
    bands: tuple[tuple[float, str], ...]
    label: tuple[float, float]
    gloss: float = 0.6
    open_top: bool = False


TURNED = {
    "bottle": Turned(((0, 13), (12, 13), (12, 10), (16, 10), (28, 26), (96, 26), (100, 23)), ((12, "cap"), (100, "body")), (38, 90)),
    "pump": Turned(((0, 3), (10, 3), (10, 13), (18, 13), (18, 12), (26, 25), (97, 25), (100, 23)), ((18, "cap"), (100, "body")), (36, 90)),
    "sauce": Turned(((0, 8), (9, 8), (9, 6), (28, 8), (45, 19), (97, 19), (100, 17)), ((9, "cap"), (100, "body")), (50, 90), 0.9),
    "jar": Turned(((0, 37), (20, 38), (20, 34), (26, 39), (94, 39), (100, 35)), ((20, "cap"), (100, "body")), (33, 88)),
    "can": Turned(((0, 22), (2, 23), (8, 28), (93, 28), (100, 23)), ((6, "metal"), (95, "body"), (100, "metal")), (6, 95), 0.9),
    "tin": Turned(((0, 37), (2, 38), (9, 38), (9, 36), (97, 36), (98, 38), (100, 38)), ((9, "metal"), (97, "body"), (100, "metal")), (9, 97), 0.8),
    "tube": Turned(((0, 25), (5, 25), (40, 23), (78, 17), (79, 13), (100, 12)), ((79, "body"), (100, "cap")), (8, 74)),
    "spray": Turned(((0, 9), (6, 10), (10, 10), (10, 15), (16, 17), (97, 17), (100, 16)), ((12, "cap"), (100, "body")), (20, 92), 0.9),
    "mug": Turned(((0, 41), (3, 42), (92, 39), (100, 33)), ((100, "accent"),), (14, 86), 0.8, True),
    "tumbler": Turned(((0, 15), (3, 17), (13, 17), (13, 20), (60, 19), (97, 16), (100, 14)), ((13, "cap"), (100, "accent")), (30, 80), 0.9),
    "lamp": Turned(((0, 15), (42, 36), (42, 2), (92, 2), (92, 22), (100, 24)), ((42, "accent"), (92, "metal"), (100, "dark")), (0, 0), 0.3),
    "bulb": Turned(((0, 4), (4, 18), (18, 29), (36, 29), (56, 20), (70, 17), (74, 14), (97, 12), (100, 5)), ((56, "white"), (72, "accent"), (100, "metal")), (50, 71)),
    "lipstick": Turned(((0, 2), (5, 9), (26, 10), (26, 13), (46, 13), (46, 15), (100, 15)), ((26, "accent"), (46, "metal"), (100, "dark")), (52, 96), 0.9),
    "planter": Turned(((0, 40), (14, 41), (14, 37), (96, 27), (100, 26)), ((100, "accent"),), (24, 84), 0.15, True),
    "vase": Turned(((0, 14), (4, 12), (20, 9), (48, 26), (70, 27), (96, 14), (100, 15)), ((100, "accent"),), (45, 75), 0.7, True),
    "candle": Turned(((0, 37), (94, 37), (100, 34)), ((30, "white"), (100, "accent")), (34, 88), 0.8, True),
}  # fmt: skip
BOXES = {"tall box": (62, 100, 24), "carton": (44, 100, 36), "flat box": (100, 46, 30), "cube box": (80, 88, 60), "book": (72, 100, 7)}


def turned(product: Product, rng: np.random.Generator) -> Image.Image:
    """A turned product as RGBA, seen a little from above and turned a little about its axis."""
    body, design = TURNED[product.good.shape], np.random.default_rng([product.design, 2])
    bulk = design.uniform(0.85, 1.2) * (0.94 + 0.05 * product.good.sizes.index(product.size))
    heights, radii = (np.array(column) for column in zip(*body.profile, strict=True))
    rows = np.arange(TALL)
    radius = np.interp(rows / TALL * 100, heights, radii) * TALL / 100 * bulk
    radius = np.convolve(np.pad(radius, 5, "edge"), np.ones(11) / 11, "valid")
    tilt, yaw = rng.uniform(0.06, 0.22), rng.uniform(-0.35, 0.35)
    widest = int(radius.max())
    texture = _wrapping(product, body, radius, design)
    pad = int(tilt * widest) + 2
    y = np.arange(-pad, TALL + pad)[:, None]
    x = np.arange(-widest - 2, widest + 3)[None, :].astype(np.float32)
    source = np.broadcast_to(y, (y.size, x.size))
    for _ in range(2):  # a point at depth d of the front stands tilt * d lower in the picture
        around = radius.astype(np.float32)[np.clip(source, 0, TALL - 1)]
        source = (y - tilt * np.sqrt(np.maximum(around**2 - x**2, 0))).astype(np.int32)
    row = np.clip(source, 0, TALL - 1)
    across = x / radius.astype(np.float32)[row]
    inside = (np.abs(across) < 1) & (source >= 0) & (source < TALL)
    grid = np.linspace(-1, 1, 1024)
    turn = ((np.arcsin(grid) + yaw) / (2 * np.pi) + 0.5) * texture.shape[1]
    step = ((np.clip(across, -1, 1) + 1) * 511.5).astype(np.int16)
    colour = texture[row, turn.astype(np.int32)[step] % texture.shape[1]].astype(np.float32)
    factor, shine = _light(grid, body.gloss * design.uniform(0.5, 1.2), rng)
    slope = 1 - np.clip(np.gradient(radius), -1, 1) * -0.18
    colour = colour * (factor[step] * slope.astype(np.float32)[row])[..., None] + shine[step][..., None]
    rgba = np.dstack([np.clip(colour, 0, 255), inside * 255]).astype(np.uint8)
    picture = Image.fromarray(rgba)
    _close_top(picture, product, body, float(radius[0]), tilt, pad, texture[2, 0])
    return picture


def _wrapping(product: Product, body: Turned, radius: NDArray[np.float64], design: np.random.Generator) -> NDArray[np.uint8]:
    """The surface unrolled, (TALL, around, 3): bands of colour with the label in front and its back side behind."""
    roles = role_colours(product, design)
    around = int(radius.max() * 2 * np.pi)
    sheet = Image.new("RGB", (around, TALL))
    top = 0.0
    for until, role in body.bands:
        sheet.paste(roles[role], (0, int(top * TALL / 100), around, int(until * TALL / 100)))
        top = until
    start, end = (int(edge * TALL / 100) for edge in body.label)
    if end > start:
        wide = int(around * 0.37)
        front = label(product, wide, end - start)
        rim = front.resize((1, front.height)).resize((around, front.height))
        if design.random() < 0.7:  # else a sticker on the bare body
            sheet.paste(rim, (0, start))
        sheet.paste(front, ((around - wide) // 2, start))
    return np.asarray(sheet)


def role_colours(product: Product, design: np.random.Generator) -> dict[str, Colour]:
    """What colour each part of a product has."""
    base, accent = product.base, product.accent
    return {
        "body": (base, accent, mix(accent, WHITE, 0.6), WHITE)[design.integers(4)],
        "cap": (WHITE, (44, 44, 50), mix(base, (20, 20, 30), 0.35), accent)[design.integers(4)],
        "accent": accent, "metal": (190, 192, 198), "dark": mix(accent, (24, 24, 30), 0.6), "white": WHITE,
        "second": mix(base, WHITE, 0.25), "black": (34, 34, 38), "glass": (28, 30, 36),
    }  # fmt: skip


def _light(grid: NDArray[np.float64], gloss: float, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Per place across a turned body, -1..1: the share of light it gives back and what it mirrors on top of that."""
    side = rng.choice([-1, 1])
    lit = 0.5 + 0.58 * np.sqrt(np.clip(1 - (grid * side + 0.3) ** 2, 0, 1))
    shine = np.exp(-(((grid * side + 0.52) / 0.1) ** 2)) * 90 + np.exp(-(((grid * side - 0.78) / 0.06) ** 2)) * 45
    return lit.astype(np.float32), (shine * gloss).astype(np.float32)


def _close_top(
    picture: Image.Image, product: Product, body: Turned, radius: float, tilt: float, pad: int, colour: NDArray[np.uint8]
) -> None:
    """Draw the disc, or the opening, that one sees from above."""
    draw, middle = ImageDraw.Draw(picture), picture.width / 2
    rim = (int(colour[0]), int(colour[1]), int(colour[2]))
    draw.ellipse((middle - radius, pad - tilt * radius, middle + radius, pad + tilt * radius), mix(rim, WHITE, 0.25))
    if body.open_top:
        inner = radius * 0.92
        draw.ellipse((middle - inner, pad - tilt * inner, middle + inner, pad + tilt * inner), mix(rim, (30, 24, 20), 0.45))


def boxed(product: Product, rng: np.random.Generator) -> Image.Image:
    """A box as RGBA, seen from a corner and a little from above."""
    design = np.random.default_rng([product.design, 3])
    width, height, depth = np.array(BOXES[product.good.shape]) * design.uniform(0.88, 1.12, 3)
    side = product.base if design.random() < 0.5 else product.accent
    front = label(product, int(width * 7), int(height * 7))
    edge, lid = Image.new("RGB", (int(depth * 7), front.height), side), Image.new("RGB", (front.width, int(depth * 7)), side)
    draw = ImageDraw.Draw(edge)
    decorate(draw, design, *edge.size, product.accent)
    write(draw, (edge.width * 0.1, edge.height * 0.08, edge.width * 0.9, edge.height * 0.2), product.brand, ink_on(side))
    for line in range(9):
        top = edge.height * (0.45 + line * 0.045)
        draw.rectangle((edge.width * 0.15, top, edge.width * design.uniform(0.5, 0.85), top + 4), mix(side, ink_on(side), 0.6))
    write(ImageDraw.Draw(lid), (lid.width * 0.1, lid.height * 0.2, lid.width * 0.9, lid.height * 0.8), product.brand, ink_on(side), 0.03)
    yaw, pitch = rng.uniform(0.12, 0.65) * rng.choice([-1, 1]), rng.uniform(0.08, 0.35)
    corners = np.array([[x, y, z] for z in (-depth, depth) for y in (-height, height) for x in (-width, width)]) / 2
    spun = corners @ _rotation(yaw, -pitch).T
    flat = spun[:, :2] * (520 / (520 + spun[:, 2:])) * 7
    flat -= flat.min(0) - 2
    canvas = Image.new("RGBA", (int(flat[:, 0].max()) + 3, int(flat[:, 1].max()) + 3))
    near = (1, 5, 7, 3) if yaw > 0 else (4, 0, 2, 6)
    shades = (0.68, 1.06, 0.96) if yaw * rng.choice([-1, 1]) > 0 else (0.86, 1.08, 0.9)
    shown = ((edge, near, shades[0]), (lid, (4, 5, 1, 0), shades[1]), (front, (0, 1, 3, 2), shades[2]))
    for face, order, shade in shown:
        lit = face.point([min(255, int(level * shade)) for level in range(256)] * 3)
        stand(canvas, lit.convert("RGBA"), flat[list(order)])
    return canvas


def _rotation(yaw: float, pitch: float) -> NDArray[np.float64]:
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return nod @ turn


def stand(canvas: Image.Image, picture: Image.Image, corners: NDArray[np.float64]) -> None:
    """Paste a picture with its corners (clockwise from the top left, (4, 2)) at these places of the canvas."""
    left, top = np.floor(corners.min(0)).astype(int)
    right, bottom = np.ceil(corners.max(0)).astype(int)
    source = np.array([(0, 0), (picture.width, 0), (picture.width, picture.height), (0, picture.height)])
    rows = []
    for (x, y), (u, v) in zip(corners - (left, top), source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved = np.linalg.solve(np.array(rows), source.ravel().astype(float))
    size = (int(right - left), int(bottom - top))
    warped = picture.transform(size, Image.Transform.PERSPECTIVE, tuple(solved.tolist()), Image.Resampling.BILINEAR)
    canvas.paste(warped, (int(left), int(top)), warped)
