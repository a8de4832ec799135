"""The vectors of a catalogue as the encoders that ship give them, rounded as the index rounds them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_training.catalogue import Catalogue
from model_training.pixels import Pixels
from service.bundle.encoder import ImageEncoder, TitleEncoder
from service.bundle.lexical import DIMENSION, LexicalEncoder
from service.bundle.views import TITLE_VIEWS, View


@dataclass(frozen=True, slots=True)
class PostingVectors:
    """Per view (n, dimension) float32, unit rows; a posting without the view has a row of zeros."""

    by_view: Mapping[View, NDArray[np.float32]]

    def view_sets(self) -> tuple[frozenset[View], ...]:
        """What two postings may share: the picture, all that a title gives, or both."""
        text = TITLE_VIEWS & self.by_view.keys()
        return frozenset({View.IMAGE}), text, text | {View.IMAGE}

    def having(self, views: frozenset[View]) -> NDArray[np.int64]:
        """The rows that have all of these views."""
        present = [self.by_view[view].any(axis=1) for view in views]
        return np.flatnonzero(np.logical_and.reduce(present))

    def take(self, rows: NDArray[np.int64]) -> "PostingVectors":
        """The vectors of these rows, in this order."""
        return PostingVectors({view: vectors[rows] for view, vectors in self.by_view.items()})

    def fuse(self, rows: NDArray[np.int64], weights: Mapping[View, float]) -> NDArray[np.float32]:
        """
        One unit vector a row, whose inner product is the weighted mean of the views' cosines.

        Args:
            rows: rows that have every view of `weights`.
        """
        total = sum(weights.values())
        parts = [np.sqrt(weight / total) * self.by_view[view][rows] for view, weight in weights.items()]
        return np.concatenate(parts, axis=1).astype(np.float32)


def encode_catalogue(
    catalogue: Catalogue, pixels: Pixels, image: ImageEncoder, title: TitleEncoder, lexical: LexicalEncoder | None
) -> PostingVectors:
    """Encode each distinct picture and title once, through the encoders that ship."""
    rows = pixels.rows_of(catalogue)
    tensors = np.unique(rows[rows >= 0])
    batches = np.array_split(tensors, max(1, len(tensors) // 16))
    pictures = [
        image.encode_wide(pixels.tensors[batch]) for batch in tqdm(batches, desc="encoding pictures", disable=None)
    ]
    titles = sorted({text for text in catalogue.titles if text is not None})
    encoded = [title.encode([text])[0] for text in tqdm(titles, desc="encoding titles", disable=None)]
    number = {text: row for row, text in enumerate(titles)}
    title_rows = np.array([-1 if text is None else number[text] for text in catalogue.titles])
    picture_rows = np.where(rows < 0, -1, np.searchsorted(tensors, rows))
    by_view = {
        View.IMAGE: _spread(picture_rows, np.concatenate(pictures), image.spec.dimension),
        View.TITLE: _spread(title_rows, np.array(encoded), title.spec.dimension),
    }
    if lexical is not None:
        by_view[View.LEXICAL] = _spread(title_rows, lexical.encode(titles), DIMENSION)
    return PostingVectors(by_view)


def _spread(rows: NDArray[np.int64], vectors: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """Give each posting its vector, rounded to float16 once and then scaled to unit length, as the index does."""
    rounded = vectors.reshape(-1, dimension).astype(np.float16).astype(np.float32)
    rounded /= np.linalg.norm(rounded, axis=1, keepdims=True)
    spread = np.zeros((len(rows), dimension), dtype=np.float32)
    spread[rows >= 0] = rounded[rows[rows >= 0]]
    return spread
