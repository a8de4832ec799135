"""Smooth noise, and the grounds it makes: wood, fabric, stone, paper."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 640  # of a ground; photographs take a crop of it
GROUNDS = ("wood", "planks", "fabric", "marble", "concrete", "tiles")


def noise(rng: np.random.Generator, side: int, across: int, down: int) -> NDArray[np.float32]:
    """Smooth noise, (side, side), -1..1, with this many bumps across and down."""
    grid = rng.random((down + 1, across + 1), np.float32) * 2 - 1
    return np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC))


@lru_cache(maxsize=32)
def ground(kind: str, number: int) -> Image.Image:
    """One of a few grounds of a kind, (SIDE, SIDE) in grey; the same for the same arguments."""
    rng = np.random.default_rng([GROUNDS.index(kind), number])
    x = np.arange(SIDE)
    cloud = sum(noise(rng, SIDE, 2**k, 2**k) / 2**k for k in range(1, 7))
    match kind:
        case "wood":
            rings = np.sin((noise(rng, SIDE, 1, 6) * 9 + noise(rng, SIDE, 2, 40)) * 2.2)
            level = 170 + rings * 14 + noise(rng, SIDE, 4, 300) * 16
        case "planks":
            board = x // (SIDE // 5)
            grain = noise(rng, SIDE, 3, 200) * 16 + noise(rng, SIDE, 2, 24) * 14
            level = 172 + grain + rng.uniform(-22, 22, 6)[board][:, None] - 70.0 * (x % (SIDE // 5) < 3)[:, None]
        case "fabric":
            weave = np.sin(x[:, None] * 1.3) * 9 + np.sin(x[None, :] * 1.3) * 9
            level = 185 + weave + noise(rng, SIDE, 3, 4) * 30
        case "marble":
            level = 225 - 70 * np.exp(-np.abs(cloud) * 9) + cloud * 14
        case "concrete":
            level = 178 + cloud * 22 + noise(rng, SIDE, 320, 320) * 7
        case _:
            size = SIDE // 6
            gap = (x % size < 4)[:, None] | (x % size < 4)[None, :]
            level = 208 + cloud * 8 - 45.0 * gap
    return Image.fromarray(np.clip(level, 0, 255).astype(np.uint8))
