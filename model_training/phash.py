"""Perceptual hash: pictures that look alike share it, whatever their files' bytes."""

import numpy as np
from PIL import Image

_SIDE, _LOW = 32, 8
_WAVES = np.cos(np.pi / _SIDE * np.outer(np.arange(_LOW), np.arange(_SIDE) + 0.5))  # the rows of a DCT-II


def hash_picture(picture: Image.Image) -> int:
    """
    64-bit DCT hash: which of the 8 x 8 lowest frequencies of the 32 x 32 grey picture lie above their median.

    Its bits run row by row, highest first, as those of `imagehash.phash`.
    """
    grey = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    lowest = _WAVES @ np.asarray(grey, dtype=np.float64) @ _WAVES.T
    bits = (lowest > np.median(lowest)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
