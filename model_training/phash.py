"""Perceptual hash: pictures that look alike share it, whatever their files' bytes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE, _LOW = 32, 8
_WAVES = np.cos(np.pi / _SIDE * np.outer(np.arange(_LOW), np.arange(_SIDE) + 0.5))  # the rows of a DCT-II


def hash_picture(tensor: NDArray[np.uint8]) -> int:
    """
    64-bit DCT hash: which of the 8 x 8 lowest frequencies of the 32 x 32 grey picture lie above their median.

    Args:
        tensor: (height, width, 3) uint8 RGB.
    """
    grey = Image.fromarray(tensor).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = _WAVES @ np.asarray(grey, dtype=np.float64) @ _WAVES.T
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
