"""What encoders have seen: the marks of postings, and who is refused by them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from model_training.backbones import load_picture_backbone, save_picture_backbone
from model_training.catalogue import Catalogue, read_catalogue
from model_training.commands import main
from model_training.errors import SeenPosting
from model_training.recipe import Recipe
from model_training.seen import SEEN, join_marks, read_seen, refuse_seen
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.errors import DamagedBundle
from service.bundle.sealing import seal
from tests.bundle.tiny_bundle import write_tiny_bundle
from tests.model_training.train_command import training

ROWS = {
    "a": ("a.jpg", "Kopi  Susu", "g1"),
    "b": ("", "Mug", "g2"),
    "c": ("c.jpg", "", ""),
    "same file": ("a-again.jpg", "Something else", "g9"),
    "same title": ("", "Ｋopi Susu", "g1"),
    "title of another product": ("d.jpg", "Mug", "g7"),
    "neither": ("", "Mug, blue", "g2"),
}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """ROWS; a-again.jpg holds the bytes of a.jpg."""
    for name in ("a.jpg", "a-again.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(name[:1].encode())
    lines = (",".join((posting_id, *row)) for posting_id, row in ROWS.items() if "," not in row[1])
    csv = "\n".join(("posting_id,image,title,label_group", *lines, 'neither,,"Mug, blue",g2'))
    (tmp_path / "postings.csv").write_text(csv, encoding="utf-8")
    return read_catalogue(tmp_path / "postings.csv", tmp_path)


def test_a_mark_is_of_the_picture_file_and_of_the_title_with_its_label(catalogue: Catalogue) -> None:
    """Both are the first 8 bytes of a SHA-256; what a posting lacks is 0 and is not kept."""

    def mark(data: bytes) -> int:
        return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")

    expected = [[mark(b"a"), mark(b"g1\0Kopi Susu")], [0, mark(b"g2\0Mug")], [mark(b"c"), 0]]
    assert catalogue.marks[:3].tolist() == expected
    assert join_marks(catalogue.marks[:3]).tolist() == sorted({mark for row in expected for mark in row} - {0})


@pytest.mark.parametrize(("posting", "is_seen"), [(name, name.startswith("same")) for name in list(ROWS)[3:]])
def test_a_posting_is_refused_by_its_file_or_its_title(catalogue: Catalogue, posting: str, is_seen: bool) -> None:
    """After a, b and c were learned from: their picture under another title, their title and label, and no more."""
    seen, row = join_marks(catalogue.marks[:3]), catalogue.posting_ids.index(posting)
    if not is_seen:
        refuse_seen(seen, catalogue, np.array([row]), "it")
        return
    with pytest.raises(SeenPosting, match=f"fitted on 1 of 2, first {posting} in row {row + 2}"):
        refuse_seen(seen, catalogue, np.array([len(ROWS) - 1, row]), "it")


def test_a_bundle_carries_all_but_its_test_part(bundle: Bundle, shop: Path) -> None:
    """`evaluate` refuses the catalogue of the training in one line; `report` asks its test part, which is unseen."""
    everything, seen = read_catalogue(shop / "postings.csv", shop / "images"), read_seen(bundle.path)
    usable = [row for row, name in enumerate(everything.posting_ids) if name != "only-a-broken-picture"]
    known = np.isin(everything.marks[usable], seen).any(axis=1)
    train, validation, test = (int(part.split()[0]) for part in bundle.manifest.provenance["postings"].split(", "))
    assert np.bincount(known).tolist() == [test, train + validation]
    broken = everything.posting_ids.index("only-a-broken-picture")
    assert everything.marks[broken, 0] > 0
    assert everything.marks[broken, 0] not in seen
    assert (seen.dtype, seen.tolist()) == (np.uint64, sorted(set(seen.tolist())))
    with pytest.raises(SystemExit, match="the bundle bundle has not seen, but it was fitted on"):
        main(["evaluate", str(bundle.path), str(shop / "postings.csv"), "--images", str(shop / "images"),
              "--cache", str(shop / "cache")], standalone_mode=False)  # fmt: skip


def test_a_backbone_is_not_tested_on_what_it_has_seen(bundle: Bundle, shop: Path, tmp_path: Path) -> None:
    """Its marks travel in its file; by another seed, another split, it is refused; by the same it is not."""
    path, seen = tmp_path / "mine.safetensors", read_seen(bundle.path)
    save_picture_backbone(load_picture_backbone(Recipe().picture_backbone, "none"), path, seen, "a test")
    assert (load_picture_backbone(Recipe().picture_backbone, str(path)).seen == seen).all()
    for seed, stop in (("1", "backbone mine.safetensors has not seen"), ("0", "the split is the same")):
        with pytest.raises(SystemExit, match=stop):
            main([*map(str, training(shop, tmp_path / "out", shop / "cache")), "--picture-weights", str(path),
                  "--seed", seed, "--title-backbone", "the split is the same"], standalone_mode=False)  # fmt: skip


def test_marks_do_not_change_what_a_bundle_encodes(tmp_path: Path) -> None:
    """A bundle with the file loads, with the encoder id that it has without; changed afterwards it is refused."""
    plain = load_bundle(write_tiny_bundle(tmp_path / "plain"), threads=1)
    marked = write_tiny_bundle(tmp_path / "marked")
    np.save(marked / SEEN, np.array([3, 5], dtype=np.uint64), allow_pickle=False)
    seal(marked)
    assert load_bundle(marked, threads=1).manifest.encoder_id == plain.manifest.encoder_id
    assert (read_seen(marked).tolist(), read_seen(plain.path).tolist()) == ([3, 5], [])
    np.save(marked / SEEN, np.array([3, 6], dtype=np.uint64), allow_pickle=False)
    with pytest.raises(DamagedBundle, match=r"seen\.npy: expected SHA-256"):
        load_bundle(marked, threads=1)
