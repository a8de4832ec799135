"""Frozen features, held against torch."""

from pathlib import Path

import numpy as np
import torch

from model_training.backbones import load_picture_backbone
from model_training.features import compute_picture_features
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
