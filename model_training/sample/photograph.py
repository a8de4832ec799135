"""One picture of a product as one seller would take it: background, angle, light, overlays, JPEG quality."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from model_training.sample.labels import WHITE, font, ink_on, mix, write
from model_training.sample.products import COLOURS, Colour
from model_training.sample.solids import stand
from model_training.sample.textures import GROUNDS, SIDE, ground, noise

STICKERS = ("PROMO", "COD", "-50%", "SALE", "ORIGINAL", "READY", "TERLARIS", "GRATIS ONGKIR", "BEST SELLER", "DISKON 30%", "NEW", "BPOM")


def photograph(sprites: Sequence[Image.Image], shop: str, rng: np.random.Generator) -> bytes:
    """
    A JPEG of about 400 to 512 pixels a side.

    Args:
        sprites: cut-out pictures of what is on sale, as RGBA; several make a group picture or a collage.
        shop: the seller's name, for his watermark.
        rng: decides everything else.
    """
    width = int(rng.integers(25, 33)) * 16
    height = width if rng.random() < 0.7 else int(width * rng.uniform(0.8, 1.15)) // 2 * 2
    picture, tint = _background(width, height, rng)
    _arrange(picture, sprites, rng)
    if rng.random() < 0.14:
        _inset(picture, sprites[0], rng)
    picture = _crop(picture, rng) if rng.random() < 0.3 else picture
    picture = _expose(picture, rng)
    for overlay, share in ((_watermark, 0.22), (_sticker, 0.28), (_frame, 0.14)):
        if rng.random() < share:
            overlay(picture, shop, mix(tint, (220, 30, 40), rng.choice([0.0, 0.9])), rng)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(rng.integers(58, 93)))
    return stream.getvalue()


def _background(width: int, height: int, rng: np.random.Generator) -> tuple[Image.Image, Colour]:
    """A ground to lay or stand the product on, and a colour that goes with it."""
    tint = COLOURS[str(rng.choice(list(COLOURS)))][1]
    pale = mix(tint, WHITE, rng.uniform(0.5, 0.92))
    kind = rng.random()
    if kind < 0.3:
        return Image.new("RGB", (width, height), (255, 255, 255) if rng.random() < 0.7 else pale), tint
    if kind < 0.65:
        name = GROUNDS[rng.integers(len(GROUNDS))]
        grey = ground(name, int(rng.integers(4)))
        left, top = (int(rng.integers(SIDE - side + 1)) for side in (width, height))
        grey = grey.crop((left, top, left + width, top + height))
        if rng.random() < 0.5:
            grey = grey.transpose(Image.Transpose.TRANSPOSE).resize((width, height))
        brown = mix((150, 104, 64), (226, 190, 146), rng.random()) if name in ("wood", "planks") else pale
        channels = [grey.point([min(255, int(level * part / 190)) for level in range(256)]) for part in brown]
        return Image.merge("RGB", channels), tint
    if kind < 0.85:
        wall = Image.new("RGB", (1, 8))
        for row in range(8):
            wall.putpixel((0, row), mix(pale, mix(pale, tint, 0.5), row / 7) if rng.random() < 2 else pale)
        picture = wall.resize((width, height), Image.Resampling.BICUBIC)
        if rng.random() < 0.6:  # a table before the wall
            floor = mix(pale, (60, 50, 44), rng.uniform(0.05, 0.5))
            picture.paste(floor, (0, int(height * rng.uniform(0.62, 0.8)), width, height))
        return picture, tint
    picture = Image.new("RGB", (width // 4, height // 4), pale)
    draw = ImageDraw.Draw(picture)
    for _ in range(14):
        x, y = rng.random(2) * (width / 4, height / 4)
        draw.circle((x, y), rng.uniform(4, 26), mix(COLOURS[str(rng.choice(list(COLOURS)))][1], pale, 0.5))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(1, 8))).resize((width, height), Image.Resampling.BICUBIC), tint


def _arrange(picture: Image.Image, sprites: Sequence[Image.Image], rng: np.random.Generator) -> None:
    """Put what is on sale before the background, side by side, each a little turned and with its shadow."""
    many = len(sprites)
    turn = 0.0 if rng.random() < 0.5 else rng.normal(0, 0.16)
    for index, sprite in enumerate(sprites):
        room = (picture.width * rng.uniform(0.74, 0.98) / many * (1.15 if many > 1 else 1), picture.height * rng.uniform(0.74, 0.98))
        scale = min(room[0] / sprite.width, room[1] / sprite.height)
        centre = np.array([(index + 0.5) / many * picture.width, picture.height * 0.5]) + rng.normal(0, 0.02, 2) * picture.width
        half = np.array([sprite.width, sprite.height]) * scale / 2
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        corners *= 1 + rng.normal(0, 0.03, (4, 2))
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corners = corners @ spin.T + centre
        _shadow(picture, sprite, corners, rng)
        stand(picture, sprite, corners)


def _shadow(picture: Image.Image, sprite: Image.Image, corners: np.ndarray, rng: np.random.Generator) -> None:
    """A soft shadow, drawn at an eighth of the size."""
    small = Image.new("RGBA", (picture.width // 8 + 1, picture.height // 8 + 1))
    shift = rng.uniform(-3, 3), rng.uniform(1, 3)
    stand(small, sprite.resize((64, 64)), corners / 8 + shift)
    mask = small.getchannel("A").filter(ImageFilter.GaussianBlur(rng.uniform(1, 2.5)))
    strength = rng.uniform(0.3, 0.65)
    mask = mask.point([int(level * strength) for level in range(256)]).resize(picture.size, Image.Resampling.BILINEAR)
    picture.paste((30, 26, 30), mask=mask)


def _inset(picture: Image.Image, sprite: Image.Image, rng: np.random.Generator) -> None:
    """A detail of the product in a round or square inset."""
    side = int(picture.width * rng.uniform(0.26, 0.36))
    left, top = int((sprite.width - side) * rng.uniform(0.3, 0.7)), int((sprite.height - side) * rng.uniform(0.3, 0.7))
    detail = Image.new("RGB", (side, side), (244, 244, 244))
    cut = sprite.crop((left, top, left + side, top + side))
    detail.paste(cut, (0, 0), cut)
    mask = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side * 2 - 1, side * 2 - 1), side * rng.choice([0.0, 0.2, 1.0]), 255)
    place = (int(rng.choice([8, picture.width - side - 8])), int(rng.choice([8, picture.height - side - 8])))
    picture.paste(WHITE, (place[0] - 4, place[1] - 4), mask.resize((side + 8, side + 8)))
    picture.paste(detail, place, mask.reduce(2))


def _crop(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top, right, bottom = rng.uniform(0, 0.1, 4) * (picture.width, picture.height, picture.width, picture.height)
    return picture.crop((int(left), int(top), int(picture.width - right), int(picture.height - bottom)))


def _expose(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, colour temperature, and light that falls off to one side."""
    if rng.random() < 0.4:
        fall = np.clip(noise(rng, 32, 1, 1) * 34 + 226, 0, 255).astype(np.uint8)
        picture = ImageChops.multiply(picture, Image.fromarray(fall).resize(picture.size, Image.Resampling.BILINEAR).convert("RGB"))
    warm, gain, gamma = rng.normal(0, 0.05), rng.normal(1.0, 0.09), np.exp(rng.normal(0, 0.12))
    scale = np.linspace(0, 1, 256) ** gamma * 255 * gain
    return picture.point([int(level) for part in (1 + warm, 1, 1 - warm) for level in np.clip(scale * part, 0, 255)])


def _watermark(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """The shop's name, half transparent, across the middle or in a corner."""
    layer = Image.new("L", picture.size)
    draw, size = ImageDraw.Draw(layer), int(rng.integers(7, 22)) * 2
    for _ in range(1 if rng.random() < 0.7 else 5):
        place = rng.uniform(0.2, 0.8, 2) * picture.size
        draw.text((place[0], place[1]), shop, int(rng.integers(70, 170)), font(size), "mm")
    picture.paste(WHITE if rng.random() < 0.6 else (40, 40, 40), mask=layer)


def _sticker(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """A badge that promises something."""
    text, reach = STICKERS[rng.integers(len(STICKERS))], int(picture.width * rng.uniform(0.09, 0.15))
    x, y = (int(rng.choice([reach + 6, side - reach - 6])) for side in picture.size)
    draw = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        teeth = [(x + np.sin(k * 0.2618) * reach * (1, 0.86)[k % 2], y - np.cos(k * 0.2618) * reach * (1, 0.86)[k % 2]) for k in range(24)]
        draw.polygon(teeth, colour)
    else:
        draw.rounded_rectangle((x - reach, y - reach * 0.45, x + reach, y + reach * 0.45), reach * 0.2, colour)
    write(draw, (x - reach * 0.8, y - reach * 0.4, x + reach * 0.8, y + reach * 0.4), text, ink_on(colour), 0.04)


def _frame(picture: Image.Image, shop: str, colour: Colour, rng: np.random.Generator) -> None:
    """A border with the shop's name and a price in a bar."""
    draw, (width, height) = ImageDraw.Draw(picture), picture.size
    bar = int(height * rng.uniform(0.09, 0.14))
    draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=int(width * 0.02))
    draw.rectangle((0, height - bar, width, height), colour)
    price = f"Rp {rng.integers(5, 400)}.{rng.choice(['000', '500', '900'])}"
    write(draw, (width * 0.03, height - bar * 0.9, width * 0.48, height - bar * 0.1), shop, ink_on(colour))
    write(draw, (width * 0.55, height - bar * 0.9, width * 0.97, height - bar * 0.1), price, ink_on(colour), 0.04)
