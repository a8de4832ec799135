import csv
import hashlib
import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from model_training.commands import main
from model_training.phash import hash_picture
from model_training.sample.catalogue import draw_catalogue

ROOT = Path(__file__).parents[2]
ESCAPED_BYTE = re.compile(r"\\x([0-9a-f]{2})")


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a catalogue by its name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "postings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of forty products."""
    folder = tmp_path_factory.mktemp("shop")
    draw_catalogue(folder, products=40, seed=7)
    return folder


def test_one_seed_makes_one_catalogue_whatever_the_hash_seed_of_the_interpreter(tmp_path: Path) -> None:
    """Interpreters with different PYTHONHASHSEED write byte-equal catalogues."""
    for hash_seed in ("1", "2"):
        script = (
            "import sys; from pathlib import Path; from model_training.sample.catalogue import draw_catalogue; "
            "draw_catalogue(Path(sys.argv[1]), products=4, seed=3)"
        )
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", script, str(tmp_path / hash_seed)]
        subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=120)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_another_seed_makes_another_catalogue(tmp_path: Path) -> None:
    """Two seeds share no picture and no posting id."""
    for seed in (1, 2):
        draw_catalogue(tmp_path / str(seed), products=3, seed=seed)
    one, other = rows_of(tmp_path / "1"), rows_of(tmp_path / "2")
    assert not {row["posting_id"] for row in one} & {row["posting_id"] for row in other}
    assert not {row["image"] for row in one} & {row["image"] for row in other}


def test_a_smaller_catalogue_is_the_head_of_a_larger_one(shop: Path, tmp_path: Path) -> None:
    """What comes after a posting does not change it, by products and by postings."""
    draw_catalogue(tmp_path / "products", products=9, seed=7)
    draw_catalogue(tmp_path / "postings", products=1, seed=7, postings=23)
    whole = (shop / "postings.csv").read_bytes()
    for name in ("products", "postings"):
        assert whole.startswith((tmp_path / name / "postings.csv").read_bytes())
        assert contents(tmp_path / name / "images").items() <= contents(shop / "images").items()


def test_the_number_of_workers_changes_nothing(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker in this process writes what several processes write."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    draw_catalogue(tmp_path, products=40, seed=7)
    assert contents(tmp_path) == contents(shop)


def test_a_catalogue_has_as_many_products_or_postings_as_asked(shop: Path, tmp_path: Path) -> None:
    """`products` counts label groups, `postings` counts rows exactly, and the answer is the number of rows."""
    assert len({row["label_group"] for row in rows_of(shop)}) == 40
    for postings in (0, 1, 10, 11):
        folder = tmp_path / str(postings)
        assert draw_catalogue(folder, products=0, seed=7, postings=postings) == postings == len(rows_of(folder))


def test_the_layout_is_that_of_the_shopee_data_set(shop: Path) -> None:
    """The columns stand in Shopee's order, ids are unique, every picture is there and none besides."""
    rows = rows_of(shop)
    assert list(rows[0]) == ["posting_id", "image", "image_phash", "title", "label_group"]
    assert len({row["posting_id"] for row in rows}) == len(rows)
    assert {row["image"] for row in rows} == {path.name for path in (shop / "images").iterdir()}


def test_pictures_are_jpegs_of_the_promised_size(shop: Path) -> None:
    """Every picture is an RGB JPEG of 250 to 600 pixels a side; together they take about 15 KB each."""
    files = list((shop / "images").iterdir())
    for path in files:
        with Image.open(path) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert 250 <= min(picture.size) <= max(picture.size) <= 600
    assert 8_000 < sum(path.stat().st_size for path in files) / len(files) < 40_000


def test_a_product_has_one_to_six_postings_and_some_match_nothing(shop: Path) -> None:
    """Groups hold 1 to 6 postings, and both singletons and larger groups are there."""
    sizes = Counter(Counter(row["label_group"] for row in rows_of(shop)).values())
    assert set(sizes) <= {1, 2, 3, 4, 5, 6}
    assert 2 <= sizes[1] <= 14
    assert sizes[2] + sizes[3] > sizes[1]


def test_pictures_are_copied_within_products_and_shared_between_them(shop: Path) -> None:
    """Some file serves several postings of a product, and some stock photograph serves different products."""
    groups_by_picture = defaultdict(list)
    for row in rows_of(shop):
        groups_by_picture[row["image"]].append(row["label_group"])
    assert any(len(groups) > len(set(groups)) for groups in groups_by_picture.values())
    assert any(len(set(groups)) > 1 for groups in groups_by_picture.values())


def test_some_titles_hold_escaped_bytes_that_decode_as_utf_8(shop: Path) -> None:
    """Titles hold literal backslash-x bytes as Shopee's do; decoded, they are marks beyond ASCII."""
    escaped = [row["title"] for row in rows_of(shop) if ESCAPED_BYTE.search(row["title"])]
    assert escaped
    for title in escaped:
        assert title.isascii()
        decoded = bytes(int(byte, 16) for byte in ESCAPED_BYTE.findall(title)).decode("utf-8")
        assert not any(mark.isascii() for mark in decoded)


def test_the_perceptual_hash_is_that_of_the_definition(shop: Path) -> None:
    """Equal to a cosine transform written as four nested loops, for each of a few pictures."""
    for row in rows_of(shop)[:4]:
        path = shop / "images" / row["image"]
        with Image.open(path) as picture:
            grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), float).tolist()
        wave = [[math.cos(math.pi * k * (2 * i + 1) / 64) for i in range(32)] for k in range(8)]
        frequencies = [
            sum(grey[y][x] * wave[v][y] * wave[u][x] for y in range(32) for x in range(32))
            for v in range(8)
            for u in range(8)
        ]
        median = sum(sorted(frequencies)[31:33]) / 2
        bits = "".join("1" if value > median else "0" for value in frequencies)
        with Image.open(path) as picture:
            assert row["image_phash"] == f"{hash_picture(picture):016x}" == f"{int(bits, 2):016x}"


def test_drawing_says_nothing_where_nobody_watches(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is no progress bar."""
    draw_catalogue(tmp_path, products=1, seed=1)
    assert capfd.readouterr() == ("", "")


def test_a_place_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    """The command names the place and what to do, and shows no traceback."""
    (tmp_path / "file").touch()
    ended = CliRunner().invoke(main, ["sample", "--out", str(tmp_path / "file" / "shop"), "--products", "1"])
    assert ended.exit_code == 1
    place = tmp_path / "file" / "shop" / "images"
    told = f"kembar-train: [Errno 20] Not a directory: '{place}'; make room or choose another place"
    assert ended.output.splitlines() == [told]
