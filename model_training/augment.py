"""Random views of a picture, as sellers' photographs differ, for a whole batch at once."""

import io
import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F


def augment(pixels: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """
    Crop, mirror, turn and recolour each picture by its own dice.

    Args:
        pixels: (n, height, width, 3) uint8 RGB.
        side: height and width of the result, pixels.

    Returns:
        (n, side, side, 3) float32, 0..255.
    """
    batch = pixels.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(_random_affine(len(batch), generator), [len(batch), 3, side, side], align_corners=False)
    moved = F.grid_sample(batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _recolour(moved, generator).permute(0, 2, 3, 1)


def save_badly(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """
    Save each picture at 50 to 100 % of its size as JPEG of quality 30 to 95, and read it at its old size again.

    Args:
        pixels: (n, side, side, 3) uint8 RGB.
    """
    side, saved = pixels.shape[1], []
    for picture, share, quality in zip(
        pixels, rng.uniform(0.5, 1, len(pixels)), rng.integers(30, 96, len(pixels)), strict=True
    ):
        file, small = io.BytesIO(), max(1, round(side * share))
        Image.fromarray(picture).resize((small, small), Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=int(quality)
        )
        saved.append(np.asarray(Image.open(file).resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(saved)


def _random_affine(n: int, generator: torch.Generator) -> torch.Tensor:
    """(n, 2, 3): keep 20 to 110 % of the area, sides 4:5 to 5:4, up to 12 degrees, half of them mirrored."""
    area = torch.exp(_uniform(n, math.log(0.2), math.log(1.1), generator))
    aspect = torch.exp(_uniform(n, math.log(0.8), math.log(1.25), generator))
    wide, high = (area * aspect).sqrt(), (area / aspect).sqrt()
    mirror = torch.where(_uniform(n, 0, 1, generator) < 0.5, -1.0, 1.0)
    angle = _uniform(n, -math.pi / 15, math.pi / 15, generator)
    slack_x, slack_y = (1 - wide).clamp(min=0), (1 - high).clamp(min=0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = wide * mirror * angle.cos(), -high * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = wide * mirror * angle.sin(), high * angle.cos()
    theta[:, 0, 2] = slack_x * _uniform(n, -1, 1, generator)
    theta[:, 1, 2] = slack_y * _uniform(n, -1, 1, generator)
    return theta


def _recolour(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast, saturation and colour temperature, each by up to 30 %, 30 %, 30 % and 10 %."""

    def dice(low: float, high: float, channels: int) -> torch.Tensor:
        return _uniform(len(batch) * channels, low, high, generator).view(len(batch), channels, 1, 1)

    batch = batch * dice(0.7, 1.3, 1) * dice(0.9, 1.1, 3)
    mean = batch.mean((1, 2, 3), keepdim=True)
    batch = mean + (batch - mean) * dice(0.7, 1.3, 1)
    grey = batch.mean(1, keepdim=True)
    return (grey + (batch - grey) * dice(0.7, 1.3, 1)).clamp(0, 255)


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low
