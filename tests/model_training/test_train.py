"""From postings.csv to a bundle, as a stranger does it: by the command, with what the repository ships."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from model_training.errors import ParityError
from model_training.export import check_parity
from model_training.report.quality import GALLERY_HEADER, SIZE_HEADER
from model_training.sample.catalogue import draw_catalogue
from service.bundle.bundle import MANIFEST, Bundle, load_bundle
from service.bundle.picture import decode_picture, picture_tensor
from service.bundle.sealing import seal
from service.bundle.views import Goal
from tests.model_training.train_command import run, training


def test_a_stranger_trains_a_bundle_that_serves(bundle: Bundle) -> None:
    """With the shipped backbone and no hub, the sample catalogue becomes a bundle with three decided view sets."""
    manifest = bundle.manifest
    assert set(manifest.decisions) == {"image", "title+lexical", "image+title+lexical"}
    assert "efficientnet-lite0" in manifest.provenance["picture_backbone"]
    assert bundle.dimensions == {"image": 256, "title": 256, "lexical": 512}
    for decision in manifest.decisions.values():
        thresholds = decision.thresholds
        assert thresholds[Goal.RECALL_90].score <= thresholds[Goal.PRECISION_99].score
        assert list(decision.calibration.probabilities) == sorted(decision.calibration.probabilities)


def test_training_and_serving_see_the_same_tensor(bundle: Bundle, shop: Path) -> None:
    """The golden pictures' vectors follow from the served preprocessing alone, and a seller's copy is near its twin."""
    with (shop / "postings.csv").open(encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["label_group"] == "0"]
    pictures = [(shop / "images" / row["image"]).read_bytes() for row in rows]
    spec = bundle.manifest.picture
    tensors = np.stack([picture_tensor(decode_picture(data, spec.decode_side), spec) for data in pictures])
    vectors = bundle.image.encode(tensors)
    assert np.allclose(vectors, np.concatenate([bundle.image.encode(tensor[None]) for tensor in tensors]), atol=1e-4)


def test_evaluate_prints_the_query_only_row_and_beats_it(bundle: Bundle, shop: Path, tmp_path: Path) -> None:
    """On products that training never saw, the joint view's f1_mean lies above answering nothing but the query."""
    draw_catalogue(tmp_path, products=12, seed=12)
    said = run(
        "evaluate", bundle.path, tmp_path / "postings.csv", "--images", tmp_path / "images", "--cache", shop / "cache"
    ).stdout
    rows = {line.split("|")[1].strip(): line.split("|") for line in said.splitlines()}
    assert "f1_mean" in rows["views"][4]
    assert float(rows["image+title+lexical"][4]) > float(rows["query only"][4]) + 0.05


def test_the_report_shows_the_bundle_on_its_test_part(
    trained: tuple[Path, subprocess.CompletedProcess[str]], shop: Path
) -> None:
    """One file without a reference to anything outside; every part is there, and its figures are those of training."""
    out = shop / "report.html"
    run(
        "report", trained[0], shop / "postings.csv", "--images", shop / "images", "--out", out,
        "--cache", shop / "cache",
    )  # fmt: skip
    page = out.read_text(encoding="utf-8")
    rows = ("query only", "perceptual hash", "TF-IDF", "picture, frozen", "title, trained", "lexical", "all, contra",
            "all, postings that share the picture file", "title f1 mean", "languages of titles", "command", "3 to 5",
            "stand alone", "encoding")  # fmt: skip
    assert [row for row in rows if f"<td>{row}" not in page] == []
    assert [name for name in (*SIZE_HEADER, *GALLERY_HEADER) if f"<th>{name}</th>" not in page] == []
    assert "postings of the test part ask" in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert page.count('class="plot"') == 3 + 3 + 2 + 3 + 2 + 1
    learned = next(line for line in trained[1].stdout.splitlines() if line.startswith("| image+title+lexical"))
    assert f"<b>{float(learned.split('|')[4]):.3f}</b>f1_mean" in page


def test_a_bundle_from_elsewhere_is_reported_on_other_data(shop: Path, tmp_path: Path) -> None:
    """Every posting asks; a backbone that is not here is said to be left out, not passed over."""
    out, foreign = shop / "foreign.html", tmp_path / "foreign"
    shutil.copytree(Path(__file__).parents[2] / "bundles" / "demo", foreign)
    described = (foreign / MANIFEST).read_text(encoding="utf-8")
    (foreign / MANIFEST).write_text(described.replace("packaged", "gone.safetensors"), encoding="utf-8")
    seal(foreign)
    done = run(
        "report", foreign, shop / "postings.csv", "--images", shop / "images", "--out", out, "--cache", shop / "cache"
    )
    page = out.read_text(encoding="utf-8")
    assert "postings ask. The bundle was trained on other data" in page
    assert "<td>picture + title + lexical</td>" in page
    assert "<td>picture, frozen</td>" not in page
    assert "the frozen backbones are left out of the ablation" in done.stderr


def test_one_seed_makes_one_bundle(bundle: Bundle, shop: Path, tmp_path: Path) -> None:
    """Trained again from the first run's cache, the bundle is the same to the byte; `test_bad_input` trains anew."""
    run(*training(shop, tmp_path / "again", shop / "cache"))
    assert load_bundle(tmp_path / "again", threads=1).fingerprint == bundle.fingerprint


def test_a_bundle_is_never_overwritten(trained: tuple[Path, subprocess.CompletedProcess[str]], shop: Path) -> None:
    """Where the bundle's place is taken the command stops before any work, in one line."""
    done = run(*training(shop, trained[0], shop / "cache"), expect=1)
    assert done.stderr.strip().splitlines()[-1].endswith("give another --out, or remove it")


def test_too_small_a_catalogue_leaves_nothing_behind(tmp_path: Path) -> None:
    """Too few groups: one clear line, and no half-written bundle where one is expected."""
    draw_catalogue(tmp_path / "few", products=3, seed=1)
    done = run(*training(tmp_path / "few", tmp_path / "out" / "bundle", tmp_path / "cache"), expect=1)
    assert "expected at least 10 groups" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_parity_below_the_bound_stops_the_export() -> None:
    """A graph that gives another vector than torch is refused, with both figures."""
    expected = torch.eye(3)
    assert check_parity(expected, expected.numpy(), Path("x.onnx")) == 1
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0, 0.1, 0.99]], dtype=np.float32)
    with pytest.raises(ParityError, match=r"0\.9999.*0\.99"):
        check_parity(expected, tilted, Path("x.onnx"))
