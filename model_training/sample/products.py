"""What the drawn shop sells: products, in families that share brand and pack and differ in size, flavour or colour."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from PIL import ImageColor

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shop:
    """The tables of `shop.toml`, which says what their columns mean."""

    goods: list[list[str]]
    variants: dict[str, list[list[str]]]
    sizes: dict[str, list[str]]
    words: dict[str, list[str]]
    turned: dict[str, list[str]]
    boxes: dict[str, list[str]]
    cutouts: dict[str, list[str]]
    panels: dict[str, list[list[int]]]


@cache
def shop() -> Shop:
    """What is on the shelf, read once."""
    return Shop(**tomllib.loads(resources.files(__package__).joinpath("shop.toml").read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Product:
    """One product. Its family shares shape, names, brand, code, `base` and `design`; variant or size tell it apart."""

    shape: str
    names: tuple[str, str]  # English, Indonesian
    brand: str
    code: str
    variant: tuple[str, str]  # English, Indonesian
    accent: Colour  # the colour of the variant
    size: str
    bulk: int  # 0 is the smallest size
    base: Colour
    design: int  # seed of everything that the pack's designer decided


def draw_family(seed: int, number: int) -> list[Product]:
    """The 1 to 4 products of one family, hard negatives of each other; the same for the same arguments, always."""
    rng = np.random.default_rng([seed, number])
    shape, kind, unit, english, indonesian = shop().goods[rng.integers(len(shop().goods))]
    ways, rungs = rng.permutation(shop().variants[kind]).tolist(), rng.permutation(len(shop().sizes[unit])).tolist()
    by_size = len(rungs) > 1 and rng.random() < 0.5
    by_variant = not by_size or rng.random() < 0.3
    many = min(int(rng.choice(4, p=(0.5, 0.25, 0.15, 0.1))) + 1, len(ways) if by_variant else len(rungs))
    code = "".join(rng.choice(list("ABDGKMRSTVXZ"), 2)) + str(rng.integers(2, 99) * rng.choice([1, 5, 10]))
    brand, base, design = brand_name(int(rng.integers(700))), pleasant(rng), int(rng.integers(2**31))
    family = []
    for member in range(many):
        way, local, paint = ways[member * by_variant]
        rung, (red, green, blue, *_) = rungs[member * by_size % len(rungs)], ImageColor.getrgb(paint)
        names, size = (english, indonesian), shop().sizes[unit][rung]
        family.append(Product(shape, names, brand, code, (way, local), (red, green, blue), size, rung, base, design))
    return family


def brand_name(number: int) -> str:
    """A made-up name, always the same for the same number."""
    syllables = np.random.default_rng([11, number]).choice(shop().words["syllables"], 2 + (number % 3 > 0))
    return "".join(syllables).capitalize() + ("", "", "x", "n", "s")[number % 5]


def pleasant(rng: np.random.Generator) -> Colour:
    """A colour of any hue, pale or strong, as a designer might take."""
    hue, strength, value = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.45), rng.uniform(110, 235)
    red, green, blue = (int(value * (1 - strength + strength * np.cos(hue + k * 2.1))) for k in range(3))
    return red, green, blue
