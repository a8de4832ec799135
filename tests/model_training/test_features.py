"""Frozen features, held against torch."""

from pathlib import Path

import numpy as np
import torch

from model_training.backbones import load_picture_backbone
from model_training.features import compute_copy_features, compute_picture_features
from model_training.networks import normalise_pixels
from model_training.pixels import Pixels
from model_training.recipe import PictureArchitecture


def test_picture_features_are_torchs(tmp_path: Path) -> None:
    """Each row is what torch makes of that picture, also in a batch that is not full; the next run reads them."""
    backbone = load_picture_backbone(PictureArchitecture.EFFICIENTNET_LITE0, "packaged")
    patches = np.random.default_rng(1).integers(0, 256, (35, 3, 3, 3), dtype=np.uint8)
    tensors = patches.repeat(32, axis=1).repeat(32, axis=2)
    features = compute_picture_features(backbone, Pixels(tensors, {}, "key"), tmp_path)
    with torch.inference_mode():
        expected = backbone.network(normalise_pixels(torch.from_numpy(tensors), backbone)).numpy()
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((features * expected).sum(1) / lengths).min() >= 0.9999
    assert np.allclose(features, expected, atol=1e-3 * np.abs(expected).max())
    again = compute_picture_features(backbone, Pixels(np.zeros_like(tensors), {}, "key"), tmp_path)
    assert np.array_equal(again, features)


def test_copies_look_like_their_picture_and_are_the_same_each_time(tmp_path: Path) -> None:
    """Each copy's features differ from the picture's, are often nearest to them of all, and come again alike."""
    backbone = load_picture_backbone(PictureArchitecture.EFFICIENTNET_LITE0, "packaged")
    rng = np.random.default_rng(2)
    colours, stripes = rng.integers(40, 216, (20, 1, 1, 3)), rng.integers(-40, 40, (20, 4, 1, 3)).repeat(24, axis=1)
    tensors = np.broadcast_to(colours + stripes, (20, 96, 96, 3)).astype(np.uint8)
    pixels = Pixels(tensors, {}, "key")
    rows = np.arange(2, 20)
    features = compute_picture_features(backbone, pixels, tmp_path)[rows]
    copies = compute_copy_features(backbone, pixels, rows, tmp_path)
    assert copies.shape == (18, features.shape[1])
    again = compute_copy_features(backbone, pixels, rows, tmp_path / "elsewhere")
    assert np.array_equal(again, copies)
    assert not np.isclose(copies, features).all(axis=1).any()
    mean = features.mean(0)
    cosine = (copies - mean) @ (features - mean).T
    cosine /= np.linalg.norm(copies - mean, axis=1)[:, None] * np.linalg.norm(features - mean, axis=1)
    assert (cosine.argmax(1) == np.arange(18)).mean() > 5 / 18  # five times chance: these are patterns, not pictures
