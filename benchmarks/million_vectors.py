"""
Vectors of as many postings as wanted, made from real encodings and the differences measured between them.

Encoded are a real catalogue (luma, where it is there) and drawn ones, see `benchmarks.growth_postings`. Of these,

- a product is the mean direction of its postings, in each view;
- a *step* is the difference between a product and one of the five nearest other ones, in all views;
- a *variation* is the difference between a posting and its product, in all views.

A new product is a known one plus two steps taken from elsewhere, each divided by the root of two: so new ones lie about
as far from each other as known ones do, and along the directions in which products differ. A posting of it is the
product plus a variation. What is similar in one view stays similar in the others, since one draw serves all views.
Nothing else is random. Of the postings 5 % have a picture only, and 5 % a title only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.growth_postings import CACHE, draw_parts, encode_all, join
from service.bundle.bundle import Bundle

CHUNK = 8_192
SEED = 97
DRAWN = 2_500  # postings, and another part of as many
KINDS = (("image", "lexical", "title"), ("image",), ("lexical", "title"))
_SHARES = (0.9, 0.05, 0.05)
_NEAR = 5
_MOST_OF_A_PRODUCT = 8  # postings; of luma's seventeen most differ in size and colour alone

Matrices = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Source:
    """What postings are made from; per view (n, dim): unit products, steps between them, variations within them."""

    products: Matrices
    steps: Matrices
    variations: Matrices
    sizes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    CHUNK postings, and questions about some of their products.

    `vectors` and `questions` hold per view unit rows, `kinds` which of KINDS a posting has; `partners` is, per
    question, a row of this chunk that shows the same product, or -1 for a product of which no posting is stored.
    """

    vectors: Matrices
    kinds: NDArray[np.int64]
    questions: Matrices
    partners: NDArray[np.int64]


def learn_source(bundle: Bundle, real: Path) -> Source:
    """Encode what is known, or take it from the cache, and measure how it differs."""
    folders = {"luma": real / "luma"} if (real / "luma" / "postings.csv").exists() else {}
    parts = draw_parts(DRAWN, CACHE)
    known = join(encode_all({**folders, **{part.name: part for part in parts}}, bundle, CACHE))
    known = known.take(np.flatnonzero(np.all([vectors.any(axis=1) for vectors in known.vectors.values()], axis=0)))
    groups, members = np.unique(known.groups, return_inverse=True)
    products = {view: _means(vectors, members, len(groups)) for view, vectors in known.vectors.items()}
    fused = np.hstack([products[view] * np.float32(np.sqrt(bundle.decision.weights[view])) for view in products])
    _, near = faiss.knn(fused, fused, _NEAR + 1, metric=faiss.METRIC_INNER_PRODUCT)
    several = np.flatnonzero(np.bincount(members)[members] > 1)
    return Source(
        products,
        {view: (rows[near[:, 1:]] - rows[:, None]).reshape(-1, rows.shape[1]) for view, rows in products.items()},
        {view: known.vectors[view][several] - products[view][members[several]] for view in products},
        np.minimum(np.bincount(members), _MOST_OF_A_PRODUCT),
    )


def draw_chunk(source: Source, number: int, questions: int) -> Chunk:
    """The postings of one chunk, always the same ones; every other question is about a product that is not stored."""
    rng = np.random.default_rng([SEED, number])
    sizes = rng.choice(source.sizes, CHUNK)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), CHUNK)) + 1]
    products = _products(source, rng, len(sizes) + questions // 2)
    rows = np.repeat(np.arange(len(sizes)), sizes)[:CHUNK]
    stored_asked = rng.choice(rows[-1], questions - questions // 2, replace=False)
    asked = np.concatenate([stored_asked, np.arange(len(sizes), len(sizes) + questions // 2)])
    partners = np.concatenate([np.searchsorted(rows, stored_asked), np.full(questions // 2, -1)])
    kinds = rng.choice(len(KINDS), CHUNK, p=_SHARES)
    return Chunk(_postings(source, rng, products, rows), kinds, _postings(source, rng, products, asked), partners)


def _products(source: Source, rng: np.random.Generator, count: int) -> Matrices:
    known = rng.integers(len(source.sizes), size=count)
    first, second = rng.integers(len(next(iter(source.steps.values()))), size=(2, count))
    half = np.float32(np.sqrt(0.5))
    return {
        view: _units(rows[known] + half * (source.steps[view][first] + source.steps[view][second]))
        for view, rows in source.products.items()
    }


def _postings(source: Source, rng: np.random.Generator, products: Matrices, rows: NDArray[np.int64]) -> Matrices:
    chosen = rng.integers(len(next(iter(source.variations.values()))), size=len(rows))
    return {view: _units(products[view][rows] + source.variations[view][chosen]) for view in products}


def _means(vectors: NDArray[np.float32], members: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, members, vectors)
    return _units(sums)


def _units(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    units: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units
