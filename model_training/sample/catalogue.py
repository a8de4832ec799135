"""Writes a drawn catalogue: `postings.csv` in the layout of the Shopee data set, and `images/`."""

import csv
import hashlib
import io
import multiprocessing
import os
import sys
from collections.abc import Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from model_training.phash import hash_picture
from model_training.sample.cutouts import cut_out
from model_training.sample.photograph import photograph
from model_training.sample.products import brand_name, draw_family, shop
from model_training.sample.solids import boxed, turned
from model_training.sample.titles import title

COLUMNS = ("posting_id", "image", "image_phash", "title", "label_group")
Row = tuple[str, str, str, str, str]
Order = tuple[int, int, list[int]]  # seed, number of a family, how many postings each of its products gets


def draw_catalogue(out: Path, *, products: int, seed: int, postings: int | None = None) -> int:
    """
    Draw a catalogue; equal arguments give equal bytes, and a smaller catalogue is the head of a larger one.

    Args:
        out: gets `postings.csv` and `images/`.
        products: how many products; not looked at where `postings` is given.
        seed: decides everything; not negative.
        postings: draw products until there are exactly this many postings.

    Returns:
        The number of postings.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    left = (products, sys.maxsize) if postings is None else (sys.maxsize, postings)
    orders = list(_orders(seed, *left))
    total = sum(sum(wanted) for _, _, wanted in orders)
    with (out / "postings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        with tqdm(total=total, unit="posting", disable=None) as progress:
            for rows in _drawn(out / "images", orders):
                table.writerows(rows)
                progress.update(len(rows))
    return total


def _orders(seed: int, products: int, postings: int) -> Iterator[Order]:
    """Orders for one family after another, until so many products or postings are reached; 15 % are singletons."""
    for number in count():
        rng, wanted = np.random.default_rng([seed, number, 1]), list[int]()
        for _ in draw_family(seed, number):
            many = 1 if rng.random() < 0.15 else int(rng.choice(5, p=(0.4, 0.27, 0.16, 0.1, 0.07))) + 2
            wanted.append(min(many, postings) if products else 0)
            products, postings = max(products - 1, 0), postings - wanted[-1]
        if not any(wanted):
            return
        yield seed, number, wanted


def _drawn(images: Path, orders: list[Order]) -> Iterator[list[Row]]:
    """The rows of each order, in order, drawn on all cores where that pays."""
    workers = min(os.cpu_count() or 1, len(orders) // 16 + 1)
    if workers == 1:
        yield from map(partial(_draw_postings, images), orders)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(partial(_draw_postings, images), orders, chunksize=4)


def _draw_postings(images: Path, order: Order) -> list[Row]:
    """Draw and write the pictures of one family, each named by its content as at Shopee; the rows of its postings."""
    (seed, number, wanted), rows = order, list[Row]()
    family, rng = draw_family(seed, number), np.random.default_rng([seed, number, 2])
    shared = b""
    if len(family) > 1 and rng.random() < 0.3:
        shared = photograph([draw_view(seed, number, member, 0) for member in range(len(family))], family[0].brand, rng)
    for member, product in enumerate(family):
        pictures, view = list[bytes](), cache(partial(draw_view, seed, number, member))
        for posting in range(wanted[member]):
            rng = np.random.default_rng([seed, number, member + 1, posting + 1])
            if posting == 1 and shared:
                pictures.append(shared)  # the brand's photograph of the whole family
            elif posting and rng.random() < 0.08:
                pictures.append(pictures[0])  # copied from another seller
            else:
                poses = (0, 1) if rng.random() < 0.12 else (int(rng.integers(2)),)
                seller = brand_name(int(rng.integers(9999))) + " Store"
                pictures.append(photograph([view(pose) for pose in poses], seller, rng))
            file = hashlib.sha256(pictures[-1]).hexdigest()[:32] + ".jpg"
            (images / file).write_bytes(pictures[-1])
            posting_id = "sample_" + hashlib.sha256(f"{seed} {number} {member} {posting}".encode()).hexdigest()[:12]
            group = str(number * 10 + member)
            phash = f"{hash_picture(Image.open(io.BytesIO(pictures[-1]))):016x}"
            rows.append((posting_id, file, phash, title(product, rng), group))
    return rows


def draw_view(seed: int, number: int, member: int, pose: int) -> Image.Image:
    """A product of a family as it stands before the camera, in one of several poses."""
    product, rng = draw_family(seed, number)[member], np.random.default_rng([seed, number, member + 1, 0, pose + 1])
    draw = turned if product.shape in shop().turned else boxed if product.shape in shop().boxes else cut_out
    return draw(product, rng)
