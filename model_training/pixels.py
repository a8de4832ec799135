"""Every picture of a catalogue, decoded once by the functions that serve, kept as tensors on disk."""

import hashlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.catalogue import Catalogue
from model_training.row_cache import RowCache
from service.bundle.errors import PostingError
from service.bundle.manifest import PictureSpec
from service.bundle.picture import decode_picture, picture_tensor

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pixels:
    """`tensors` (m, height, width, 3) uint8, one a distinct picture file; `rows` finds a picture by its digest."""

    tensors: NDArray[np.uint8]
    rows: Mapping[str, int]
    key: str

    def rows_of(self, catalogue: Catalogue) -> NDArray[np.int64]:
        """(n,) the tensor row of each posting, -1 where it has no usable picture."""
        return np.array([-1 if digest is None else self.rows.get(digest, -1) for digest in catalogue.digests])


def load_pixels(catalogue: Catalogue, spec: PictureSpec, cache: Path) -> Pixels:
    """
    Decode each distinct picture of the catalogue.

    A picture that cannot be decoded is left out, with one logged line that names file and row.

    Args:
        cache: directory for caches; the tensors lie in a folder named by what determines them.
    """
    files: dict[str, tuple[Path, str]] = {}
    for row, digest in enumerate(catalogue.digests):
        if (path := catalogue.pictures[row]) is not None and digest is not None:
            said = f"row {catalogue.feed_rows[row]} (posting {catalogue.posting_ids[row]}): picture {path.name}"
            files.setdefault(digest, (path, said))
    digests = sorted(files)
    size = f"{spec.height}x{spec.width}/{spec.decode_side}/{spec.crop}"
    key = hashlib.sha256("\n".join([size, *digests]).encode()).hexdigest()[:16]
    store = RowCache(cache / f"pixels-{key}", rows=len(digests), shape=(spec.height, spec.width, 3), dtype=np.uint8)

    def decode(digest: str) -> NDArray[np.uint8] | None:
        try:
            return picture_tensor(decode_picture(files[digest][0].read_bytes(), spec.decode_side), spec)
        except (PostingError, OSError) as exc:
            logger.warning("%s left out: %s", files[digest][1], exc)
            return None

    with ThreadPoolExecutor() as pool:

        def compute(numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
            tensors = list(pool.map(decode, [digests[number] for number in numbers]))
            usable = np.array([tensor is not None for tensor in tensors])
            blank = np.zeros((spec.height, spec.width, 3), dtype=np.uint8)
            return np.stack([blank if tensor is None else tensor for tensor in tensors]), usable

        store.fill(compute, chunk=256, label="decoding pictures")
    usable = {digests[row]: int(row) for row in np.flatnonzero(store.done)}
    return Pixels(tensors=store.array, rows=usable, key=key)
