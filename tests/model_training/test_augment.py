"""Augmented views."""

import numpy as np
import torch

from model_training.augment import augment, save_badly


def test_views_keep_shape_and_range_and_follow_the_dice() -> None:
    """A batch of pictures gives as many square views within 0..255, equal for equal dice and different otherwise."""
    pixels = torch.randint(0, 256, (4, 40, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    first, again, other = (augment(pixels, 24, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (4, 24, 24, 3)
    assert first.min() >= 0
    assert first.max() <= 255
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_views_stay_on_the_picture() -> None:
    """A view of a plain colour is that colour but for the recolouring: no border shines in."""
    pixels = torch.full((8, 32, 32, 3), 120, dtype=torch.uint8)
    views = augment(pixels, 32, torch.Generator().manual_seed(2))
    assert (views.amax((1, 2)) - views.amin((1, 2))).max() < 1e-3


def test_a_badly_saved_picture_has_lost_detail_alone() -> None:
    """Size and colours stay, fine patterns go; every picture is saved in its own way, and the dice alone decide how."""
    noise = np.random.default_rng(4).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    pixels = np.concatenate([noise, noise, np.full((1, 64, 64, 3), (200, 90, 40), dtype=np.uint8)])
    saved, again = (save_badly(pixels, np.random.default_rng(1)) for _ in range(2))
    assert saved.shape == pixels.shape
    assert saved.dtype == np.uint8
    assert np.array_equal(saved, again)
    assert not np.array_equal(saved[0], saved[1])
    assert saved[:2].std() < 0.8 * pixels[:2].std()
    assert np.abs(saved[2].astype(int) - pixels[2]).max() <= 6
