"""Two shops' records and the standard splits of labelled pairs between them, as a catalogue to train on."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.catalogue import read_catalogue
from model_training.material import Material
from model_training.pixels import Pixels
from model_training.split import Split, find_components

_FIELD = re.compile(r"COL (\w+) VAL ?(.*?) *(?=COL \w+ VAL|$)")
_NAMES, _MAKERS = ("name", "title"), ("manufacturer", "brand")
Matrix = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shops:
    """
    The titles of each shop's distinct records, and (left, right) bool matrices of the pairs of each part.

    `labelled` says which pairs a part holds, `same` which of them show one product; parts are train, valid and test.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    labelled: Mapping[str, Matrix]
    same: Mapping[str, Matrix]

    def partners(self, *parts: str) -> Matrix:
        """(left, right) True where the positive pairs of these parts, or a chain of them, say one product."""
        products = find_products(np.logical_or.reduce([self.same[part] for part in parts]))
        return np.asarray(products[: len(self.left), None] == products[None, len(self.left) :])


def read_shops(folder: Path) -> Shops:
    """Read train.txt, valid.txt and test.txt: two records and a label a line, between tabs."""
    numbers: tuple[dict[str, int], dict[str, int]] = ({}, {})
    rows = {part: _read_part(folder / f"{part}.txt", numbers) for part in ("train", "valid", "test")}
    shape = (len(numbers[0]), len(numbers[1]))
    labelled, same = ({part: np.zeros(shape, dtype=np.bool_) for part in rows} for _ in range(2))
    for part, pairs in rows.items():
        labelled[part][pairs[:, 0], pairs[:, 1]] = True
        same[part][pairs[:, 0], pairs[:, 1]] = pairs[:, 2] == 1
    left, right = (tuple(map(title_of, records)) for records in numbers)
    return Shops(left, right, labelled, same)


def title_of(record: str) -> str:
    """
    What a shop would write above its offer: the name, then the maker where the name lacks it; no price, no description.

    >>> title_of("COL title VAL pro 7.0 COL manufacturer VAL adobe COL price VAL 999.0")
    'pro 7.0 adobe'
    """
    fields = dict(_FIELD.findall(record))
    name = next(fields[key] for key in _NAMES if key in fields)
    makers = [fields[key] for key in _MAKERS if fields.get(key) and fields[key] not in name]
    return " ".join([name, *makers])


def _read_part(path: Path, numbers: tuple[dict[str, int], dict[str, int]]) -> NDArray[np.int64]:
    """(pairs, 3): left record, right record, label; records that are written alike are one."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        *records, label = line.split("\t")
        pairs.append(
            [
                *(known.setdefault(text.strip(), len(known)) for known, text in zip(numbers, records, strict=True)),
                int(label),
            ]
        )
    return np.array(pairs, dtype=np.int64)


def find_products(same: Matrix) -> NDArray[np.int64]:
    """(left + right,) the product of each record: records tied by a chain of pairs are one."""
    keys: list[list[tuple[str, int]]] = [[("record", row)] for row in range(sum(same.shape))]
    for pair, (left, right) in enumerate(np.argwhere(same)):
        keys[left].append(("pair", pair))
        keys[same.shape[0] + right].append(("pair", pair))
    return find_components(map(tuple, keys))


def training_products(shops: Shops) -> NDArray[np.int64]:
    """
    (left + right,) the product of each record by the positive training pairs alone.

    Records repeat, and pairs chain: where one product would hold a pair of valid or test, whatever its label, the left
    record of that pair is left out. So no pair that anything is measured on is among those trained on.
    """
    held = shops.labelled["valid"] | shops.labelled["test"]
    leaking = np.asarray((shops.partners("train") & held).any(1))
    return find_products(shops.same["train"] & ~leaking[:, None])


def material_of(shops: Shops, scratch: Path) -> Material:
    """
    What the trainer works on: all records as postings, left shop first, to learn from those that training pairs tie.

    A record without a partner there teaches nothing: its partner may stand in valid or test. Validation postings, on
    which the title encoder's precision is chosen, are those that valid pairs tie.
    """
    learned, watched = training_products(shops), find_products(shops.same["valid"])
    is_learned, is_watched = (np.bincount(numbers)[numbers] > 1 for numbers in (learned, watched))
    table = scratch / "postings.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["posting_id", "title", "label_group"])
        for row, title in enumerate([*shops.left, *shops.right]):
            writer.writerow([row, title, f"train {learned[row]}" if is_learned[row] else f"valid {watched[row]}"])
    catalogue = read_catalogue(table, scratch)
    parts = (is_learned, is_watched & ~is_learned, ~is_watched & ~is_learned)
    pixels = Pixels(np.zeros((0, 1, 1, 3), dtype=np.uint8), {}, "none")
    return Material(catalogue, pixels, catalogue.groups, Split(*map(np.flatnonzero, parts)))
