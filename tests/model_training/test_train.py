"""From postings.csv to a bundle, as a stranger does it: by the command, with what the repository ships."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from model_training.errors import ParityError
from model_training.export import check_parity
from model_training.sample.catalogue import draw_catalogue
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.picture import decode_picture, picture_tensor
from service.bundle.views import Goal

COMMAND = Path(sys.executable).with_name("kembar-train")
QUICK = ["--image-size", "96", "--epochs", "2"]


def run(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run kembar-train as a person does, with every hub out of reach."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, env=offline, check=False, timeout=170)
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn catalogue with two bad rows: a picture that is none, and a missing file without a title."""
    folder = tmp_path_factory.mktemp("shop")
    draw_catalogue(folder, products=40, seed=11)
    (folder / "images" / "broken.jpg").write_bytes(b"not a picture")
    with (folder / "postings.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["broken-picture", "broken.jpg", "0" * 16, "Mug with a broken picture", "9999"])
        writer.writerow(["no-picture", "nowhere.jpg", "0" * 16, "", "9999"])
    return folder


@pytest.fixture(scope="module")
def trained(shop: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The bundle that the command wrote, and what it said."""
    done = run(
        "train", shop / "postings.csv", "--images", shop / "images",
        "--out", shop / "bundle", "--cache", shop / "cache", *QUICK,
    )  # fmt: skip
    return shop / "bundle", done


@pytest.fixture(scope="module")
def bundle(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> Bundle:
    """The same bundle, loaded."""
    return load_bundle(trained[0], threads=1)


def test_a_stranger_trains_a_bundle_that_serves(bundle: Bundle) -> None:
    """With the shipped backbone and no hub, the sample catalogue becomes a bundle with three decided view sets."""
    manifest = bundle.manifest
    assert set(manifest.decisions) == {"image", "title+lexical", "image+title+lexical"}
    assert "mobilenet_v2.safetensors" in manifest.provenance["picture_backbone"]
    assert bundle.dimensions == {"image": 256, "title": 256, "lexical": 512}
    for decision in manifest.decisions.values():
        thresholds = decision.thresholds
        assert thresholds[Goal.RECALL_90].score <= thresholds[Goal.PRECISION_99].score
        assert list(decision.calibration.probabilities) == sorted(decision.calibration.probabilities)


def test_bad_rows_are_one_line_each_and_counted(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """A missing file and a broken picture are named; the run goes on and says how many rows were left out."""
    said = trained[1].stderr
    assert [line for line in said.splitlines() if "no-picture" in line and "nowhere.jpg" in line]
    assert [line for line in said.splitlines() if line.startswith("picture broken.jpg left out")]
    assert "1 rows left out" in said


def test_training_and_serving_see_the_same_tensor(bundle: Bundle, shop: Path) -> None:
    """The golden pictures' vectors follow from the served preprocessing alone, and a seller's copy is near its twin."""
    with (shop / "postings.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["label_group"] == "0"]
    pictures = [(shop / "images" / row["image"]).read_bytes() for row in rows]
    spec = bundle.manifest.picture
    tensors = np.stack([picture_tensor(decode_picture(data, spec.decode_side), spec) for data in pictures])
    vectors = bundle.image.encode(tensors)
    assert np.allclose(vectors, np.concatenate([bundle.image.encode(tensor[None]) for tensor in tensors]), atol=1e-4)


def test_evaluate_prints_the_query_only_row_and_beats_it(bundle: Bundle, shop: Path) -> None:
    """The table has the four F1s; the joint view's f1_mean lies above answering nothing but the query."""
    said = run(
        "evaluate", bundle.path, shop / "postings.csv", "--images", shop / "images", "--cache", shop / "cache"
    ).stdout
    rows = {line.split("|")[1].strip(): line.split("|") for line in said.splitlines()}
    assert "f1_mean" in rows["views"][4]
    assert float(rows["image+title+lexical"][4]) > float(rows["query only"][4]) + 0.05


def test_the_report_shows_the_bundle_on_its_test_part(bundle: Bundle, shop: Path) -> None:
    """One file without a reference to anything outside, with every row of the ablation and the postings asked."""
    out = shop / "report.html"
    run(
        "report", bundle.path, shop / "postings.csv", "--images", shop / "images", "--out", out,
        "--cache", shop / "cache",
    )  # fmt: skip
    page = out.read_text(encoding="utf-8")
    rows = ("query only", "perceptual hash", "TF-IDF", "picture, frozen", "title, trained", "lexical", "all, contra")
    assert [row for row in rows if f"<td>{row}" not in page] == []
    assert "postings of the test part ask" in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert page.count('class="plot"') == 7


def test_a_bundle_of_two_views_on_other_data_is_reported_too(shop: Path) -> None:
    """The shipped bundle, trained elsewhere: every posting asks, and what cannot be had is said, not passed over."""
    out, shipped = shop / "shipped.html", Path(__file__).parents[2] / "bundles" / "demo"
    done = run(
        "report", shipped, shop / "postings.csv", "--images", shop / "images", "--out", out, "--cache", shop / "cache"
    )
    page = out.read_text(encoding="utf-8")
    assert "postings ask. The bundle was trained on other data" in page
    assert "<td>picture + title</td>" in page
    assert "<td>picture, frozen</td>" not in page
    assert "the frozen backbones are left out of the ablation" in done.stderr


def test_one_seed_makes_one_bundle(bundle: Bundle, shop: Path, tmp_path: Path) -> None:
    """Trained again from nothing, and again from the first run's cache, the bundle is the same to the byte."""
    for cache, out in ((tmp_path / "cache", "anew"), (shop / "cache", "resumed")):
        run(
            "train", shop / "postings.csv", "--images", shop / "images", "--out", tmp_path / out, "--cache", cache,
            *QUICK,
        )  # fmt: skip
        assert load_bundle(tmp_path / out, threads=1).fingerprint == bundle.fingerprint, out


def test_a_bundle_is_never_overwritten(trained: tuple[Path, subprocess.CompletedProcess[str]], shop: Path) -> None:
    """Where the bundle's place is taken the command stops before any work, in one line."""
    done = run("train", shop / "postings.csv", "--images", shop / "images", "--out", trained[0], expect=1)
    assert done.stderr.strip().splitlines()[-1].endswith("give another --out, or remove it")


def test_too_small_a_catalogue_leaves_nothing_behind(tmp_path: Path) -> None:
    """Too few groups: one clear line, and no half-written bundle where one is expected."""
    draw_catalogue(tmp_path / "few", products=3, seed=1)
    done = run(
        "train", tmp_path / "few" / "postings.csv", "--images", tmp_path / "few" / "images",
        "--out", tmp_path / "out" / "bundle", "--cache", tmp_path / "cache", expect=1,
    )  # fmt: skip
    assert "expected at least 10 groups" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_parity_below_the_bound_stops_the_export() -> None:
    """A graph that gives another vector than torch is refused, with both figures."""
    expected = torch.eye(3)
    assert check_parity(expected, expected.numpy(), Path("x.onnx")) == 1
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0, 0.1, 0.99]], dtype=np.float32)
    with pytest.raises(ParityError, match=r"0\.9999.*0\.99"):
        check_parity(expected, tilted, Path("x.onnx"))
