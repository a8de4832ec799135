"""What would show if the answers leaked into learning, fitting or measuring."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model_training.catalogue import read_catalogue
from model_training.evaluate import Row, evaluate
from model_training.fit import fit
from model_training.material import prepare_material
from model_training.phash import hash_picture
from model_training.posting_vectors import PostingVectors
from model_training.recipe import Recipe
from model_training.split import split_components
from model_training.train_learner import Labelled, train_learner
from service.bundle.bundle import MANIFEST, Bundle
from service.bundle.manifest import MANIFEST_ADAPTER, read_document
from service.bundle.views import View
from tests.bundle.tiny_bundle import write_tiny_bundle

GROUPS = np.repeat(np.arange(80), np.random.default_rng(1).integers(2, 9, 80))


def features(seed: int) -> NDArray[np.float32]:
    """One row a posting, around the centre of its product."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(80, 24))[GROUPS] + 0.6 * rng.normal(size=(len(GROUPS), 24))).astype(np.float32)


def measure(groups: NDArray[np.int64], pictures: NDArray[np.float32], folder: Path) -> dict[str, Row]:
    """Split, learn both views, fit and evaluate, as `train` does; titles stay as they are."""
    split, recipe = split_components(groups, seed=0), Recipe(epochs=2, dimension=16)
    by_view = {View.LEXICAL: features(3) / np.linalg.norm(features(3), axis=1, keepdims=True)}
    for view, rows in ((View.IMAGE, pictures), (View.TITLE, features(2))):
        parts = (
            Labelled(rows[part], (rows.shape[1],), groups[part], groups[part])
            for part in (split.train, split.validation)
        )
        learner = train_learner(*parts, recipe, folder / f"{view}.pt", label=view)
        with torch.inference_mode():
            by_view[view] = learner(torch.from_numpy(rows)).numpy()
    vectors, titles = PostingVectors(by_view), ["mug"] * len(groups)
    gallery = split.fitted
    asked = np.searchsorted(gallery, split.validation)
    files = np.arange(len(gallery))
    fitted = fit(vectors.take(gallery), groups[gallery], [titles[row] for row in gallery], files, asked, seed=0)
    manifest = dataclasses.replace(
        read_document(write_tiny_bundle(folder / "bundle") / MANIFEST, MANIFEST_ADAPTER),
        weights=fitted.weights, decisions=fitted.decisions, gallery_size=fitted.gallery_size,
    )  # fmt: skip
    return {row.name: row for row in evaluate(manifest, vectors, groups, titles, split.test)}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The table as it is."""
    return measure(GROUPS, features(1), tmp_path_factory.mktemp("honest"))


def test_shuffled_labels_leave_nothing_to_learn(honest: dict[str, Row], tmp_path: Path) -> None:
    """With labels dealt anew every view falls into the interval of the query-only row, far from where it stood."""
    shuffled = np.random.default_rng(5).permutation(GROUPS)
    rows = measure(shuffled, features(1), tmp_path)
    test = split_components(shuffled, seed=0).test
    alone = [2 / (1 + (shuffled == group).sum()) for group in np.unique(shuffled[test])]
    sizes = [(shuffled[test] == group).sum() for group in np.unique(shuffled[test])]
    draws = np.random.default_rng(0).integers(0, len(sizes), (1000, len(sizes)))
    means = (np.multiply(alone, sizes)[draws].sum(1) / np.array(sizes)[draws].sum(1)).tolist()
    low, high = np.quantile(means, [0.025, 0.975])
    assert low < rows["query only"].f1s.mean < high
    for name in ("image", "title+lexical", "image+title+lexical"):
        assert low < rows[name].f1s.mean < high, name
        assert honest[name].f1s.mean > high + 0.1, name


def test_pictures_do_not_reach_the_titles_figures(honest: dict[str, Row], tmp_path: Path) -> None:
    """Pictures dealt anew among the postings ruin their own row and leave that of the titles as it was, to 1e-9."""
    rows = measure(GROUPS, np.random.default_rng(6).permutation(features(1)), tmp_path)
    assert rows["image"].f1s.mean < honest["image"].f1s.mean - 0.1
    before, after = (dataclasses.astuple(table["title+lexical"])[1:] for table in (honest, rows))
    assert [*after[:2], *after[2], *after[3:]] == pytest.approx([*before[:2], *before[2], *before[3:]], abs=1e-9)


def test_nothing_stands_on_two_sides(bundle: Bundle, shop: Path) -> None:
    """No product, no picture file and no look of a picture is in two parts of a real catalogue's split."""
    csv, images = shop / "postings.csv", shop / "images"
    material = prepare_material(csv, images, bundle.manifest.picture, shop / "cache", seed=0)
    catalogue, pixels = material.catalogue, material.pixels
    looks = [
        hash_picture(Image.fromarray(pixels.tensors[row])) if row >= 0 else None for row in pixels.rows_of(catalogue)
    ]
    for keys in (catalogue.groups.tolist(), catalogue.digests, looks):
        sides = [{keys[row] for row in part} - {None} for part in dataclasses.astuple(material.split)]
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_a_shared_picture_file_is_no_evidence() -> None:
    """Where every product has one picture file, nobody is right and every probability is 0; apart, many are near 1."""
    units = features(1) / np.linalg.norm(features(1), axis=1, keepdims=True)
    vectors = PostingVectors(dict.fromkeys(View, units))
    told = {}
    for name, files in (("one", GROUPS), ("apart", np.arange(len(GROUPS)))):
        fitted = fit(vectors, GROUPS, ["mug"] * len(GROUPS), files, np.arange(len(GROUPS)), seed=0)
        told[name] = {key: max(decision.calibration.probabilities) for key, decision in fitted.decisions.items()}
    assert set(told["one"].values()) == {0}
    assert min(told["apart"].values()) > 0.9


def test_files_are_numbered_by_their_bytes(shop: Path) -> None:
    """Postings with equal digests share a number; one without a picture has its own."""
    catalogue = read_catalogue(shop / "postings.csv", shop / "images")
    bare = dataclasses.replace(catalogue, digests=(None, None, *catalogue.digests[2:]))
    for digests, files in ((catalogue.digests, catalogue.files), (bare.digests, bare.files)):
        same = np.array([[a == b and a is not None for b in digests] for a in digests]) | np.eye(
            len(digests), dtype=bool
        )
        assert (same == (files[:, None] == files)).all()
    assert len(set(catalogue.files)) < len(catalogue)
