"""One drawn catalogue with bad rows, and one bundle trained on it, for all tests of training."""

import csv
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from model_training.sample.catalogue import draw_catalogue
from service.bundle.bundle import Bundle, load_bundle
from tests.model_training.train_command import run, training

ROWS = (
    ("broken-picture", "broken.jpg", "Mug with a broken picture", "9999"),
    ("only-a-broken-picture", "broken.jpg", "", "9999"),
    ("no-picture", "nowhere.jpg", "", "9999"),
    ("blank", "", " ", "9999"),
    ("nothing-to-see", "", "\u200b", "9999"),
    ("broken-picture", "", "Another mug", "9999"),
    ("no-title", "extra.jpg", " ", ""),
    ("no-label", "", "A mug that stands alone", ""),
    ("short",),
)
"""Appended to the drawn postings: posting_id, image, title, label_group. The last but two can be used."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn catalogue and ROWS, saved as a spreadsheet does: a byte order mark, and lines that end in CR LF."""
    folder = tmp_path_factory.mktemp("shop")
    draw_catalogue(folder, products=40, seed=11)
    images = folder / "images"
    (images / "broken.jpg").write_bytes(b"not a picture")
    Image.radial_gradient("L").save(images / "extra.jpg")
    drawn = (folder / "postings.csv").read_text(encoding="utf-8")
    with (folder / "postings.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows(csv.reader(drawn.splitlines()))
        writer.writerows((*row[:2], "0" * 16, *row[2:]) for row in ROWS)
    return folder


@pytest.fixture(scope="session")
def trained(shop: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The bundle that the command wrote, and what it said."""
    return shop / "bundle", run(*training(shop, shop / "bundle", shop / "cache"))


@pytest.fixture(scope="session")
def bundle(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> Bundle:
    """The same bundle, loaded."""
    return load_bundle(trained[0], threads=1)
