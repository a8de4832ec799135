"""Writes a drawn catalogue: `postings.csv` in the layout of the Shopee data set, and `images/`."""

import csv
import hashlib
import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from model_training.sample.cutouts import cut_out
from model_training.sample.photograph import photograph
from model_training.sample.products import Product, brand_name, draw_family
from model_training.sample.shapes import BOXES, TURNED
from model_training.sample.solids import boxed, turned
from model_training.sample.titles import title

SHARE_OF_SINGLETONS = 0.15
SHARE_OF_COPIES = 0.08
FAMILIES_WORTH_A_POOL = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A line of `postings.csv`."""

    posting_id: str
    image: str
    image_phash: str
    title: str
    label_group: str


@dataclass(frozen=True, slots=True)
class Order:
    """How many postings to draw of each of the first products of a family."""

    number: int
    family: tuple[Product, ...]
    postings: tuple[int, ...]


def draw_catalogue(out: Path, *, products: int, seed: int, postings: int | None = None) -> int:
    """
    Draw a catalogue into a folder; equal arguments give equal bytes, and a smaller catalogue is the head of a larger one.

    Args:
        out: gets `postings.csv` and `images/`.
        products: how many products; not looked at where `postings` is given.
        seed: decides everything.
        postings: draw products until there are exactly this many postings.

    Returns:
        The number of postings.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    orders = list(_plan(seed, products if postings is None else 2**62, 2**62 if postings is None else postings))
    total, work = sum(sum(order.postings) for order in orders), partial(_rows, out / "images", seed)
    with (
        (out / "postings.csv").open("w", encoding="utf-8", newline="") as file,
        tqdm(total=total, unit="posting", disable=None) as progress,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow([field.name for field in fields(Row)])
        for rows in _each(work, orders):
            table.writerows(astuple(row) for row in rows)
            progress.update(len(rows))
    return total


def _plan(seed: int, products: int, postings: int) -> Iterator[Order]:
    """Orders for families, one after another, until so many products or postings are reached."""
    for number in count():
        family, rng, wanted = draw_family(seed, number), np.random.default_rng([seed, number, 1]), []
        for _ in family:
            many = 1 if rng.random() < SHARE_OF_SINGLETONS else int(rng.choice(5, p=(0.4, 0.27, 0.16, 0.1, 0.07))) + 2
            if products and postings:
                wanted.append(min(many, postings))
                products, postings = products - 1, postings - wanted[-1]
        if not wanted:
            return
        yield Order(number, tuple(family), tuple(wanted))


def _each(work: Callable[[Order], list[Row]], orders: list[Order]) -> Iterator[list[Row]]:
    """Rows of each order, in order, drawn on all cores where that pays."""
    if len(orders) < FAMILIES_WORTH_A_POOL:
        yield from map(work, orders)
        return
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        yield from pool.imap(work, orders, chunksize=4)


def _rows(images: Path, seed: int, order: Order) -> list[Row]:
    """Draw the pictures of one family and write them; the file of a picture is named by its content, as at Shopee."""
    rng = np.random.default_rng([seed, order.number, 2])
    has_stock_photograph, rows = len(order.family) > 1 and rng.random() < 0.3, []
    stock = photograph([_view(p, seed, order.number, i, 0) for i, p in enumerate(order.family)], order.family[0].brand, rng) if has_stock_photograph else None
    for member, postings in enumerate(order.postings):
        product, pictures = order.family[member], list[bytes]()
        views = cache(partial(_view, product, seed, order.number, member))
        for posting in range(postings):
            rng = np.random.default_rng([seed, order.number, member + 1, posting + 1])
            if posting == 1 and stock:
                pictures.append(stock)
            elif posting and rng.random() < SHARE_OF_COPIES:
                pictures.append(pictures[0])
            else:
                shown = [views(0), views(1)] if rng.random() < 0.12 else [views(int(rng.integers(2)))]
                pictures.append(photograph(shown, brand_name(int(rng.integers(9999))) + " Store", rng))
            name = hashlib.sha256(pictures[-1]).hexdigest()[:32] + ".jpg"
            (images / name).write_bytes(pictures[-1])
            number = hashlib.sha256(f"{seed} {order.number} {member} {posting}".encode()).hexdigest()[:12]
            rows.append(Row(f"sample_{number}", name, perceptual_hash(pictures[-1]), title(product, rng), f"{order.number * 10 + member}"))
    return rows


def _view(product: Product, seed: int, family: int, member: int, number: int) -> Image.Image:
    """One of the two ways in which a product stands before the camera."""
    rng = np.random.default_rng([seed, family, member + 1, 0, number + 1])
    draw = turned if product.shape in TURNED else boxed if product.shape in BOXES else cut_out
    return draw(product, rng)


def perceptual_hash(picture: bytes) -> str:
    """
    64-bit DCT hash as 16 hex digits: which of the 8 x 8 lowest frequencies of the 32 x 32 grey picture lie above their median.

    Its bits run row by row, highest first, as those of `imagehash.phash`.
    """
    grey = Image.open(io.BytesIO(picture)).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    waves = np.cos(np.pi / 32 * np.outer(np.arange(8), np.arange(32) + 0.5))
    lowest = waves @ np.asarray(grey, np.float64) @ waves.T
    return f"{int(''.join('01'[int(bit)] for bit in (lowest > np.median(lowest)).ravel()), 2):016x}"
