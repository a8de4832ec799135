"""What a training run works on: usable postings, their pictures, their ties and their split."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_training.catalogue import Catalogue, read_catalogue
from model_training.errors import UnusableCatalogue
from model_training.phash import hash_picture
from model_training.pixels import Pixels, load_pixels
from model_training.split import Split, find_components, split_components
from service.bundle.manifest import PictureSpec

logger = logging.getLogger(__name__)

_LEAST_GROUPS = 10


@dataclass(frozen=True, slots=True)
class Material:
    """`components` (n,) int64 are the super-components that the split keeps whole."""

    catalogue: Catalogue
    pixels: Pixels
    components: NDArray[np.int64]
    split: Split


def prepare_material(csv: Path, images: Path, spec: PictureSpec, cache: Path, *, seed: int, fold: int = 0) -> Material:
    """
    Read, decode, tie together and split a catalogue.

    A posting whose picture cannot be decoded keeps its title; one left with neither is left out.

    Raises:
        FeedError: the file is no feed.
        UnusableCatalogue: fewer than 10 groups of two or more postings.
    """
    everything = read_catalogue(csv, images)
    pixels = load_pixels(everything, spec, cache)
    titled = np.array([title is not None for title in everything.titles])
    pictured = pixels.rows_of(everything) >= 0
    for row in np.flatnonzero(~titled & ~pictured):
        logger.warning("row %d left out: its picture was all it had", everything.feed_rows[row])
    # Nothing is learned from a broken picture, and nothing tied by it: it marks no posting.
    marked = replace(everything, marks=everything.marks * np.stack([pictured, titled], axis=1))
    catalogue = marked.take(np.flatnonzero(titled | pictured))
    if (pairs := int((np.bincount(catalogue.groups) > 1).sum())) < _LEAST_GROUPS:
        raise UnusableCatalogue(
            f"{csv}: expected at least {_LEAST_GROUPS} groups of two or more postings, found {pairs}; "
            "label more products"
        )
    components = find_components(_ties(catalogue, pixels))
    split = split_components(components, seed=seed, fold=fold)
    parts = (split.train, split.validation, split.test)
    logger.info("split by super-component: %d train, %d validation, %d test postings", *map(len, parts))
    return Material(catalogue, pixels, components, split)


def _ties(catalogue: Catalogue, pixels: Pixels) -> list[tuple[tuple[str, object], ...]]:
    """What may tie a posting to others: its group, its picture file, its picture's perceptual hash."""
    hashes = {digest: hash_picture(Image.fromarray(pixels.tensors[row])) for digest, row in pixels.rows.items()}
    ties = []
    for group, digest in zip(catalogue.groups.tolist(), catalogue.digests, strict=True):
        picture = (("file", digest), ("phash", hashes[digest])) if digest in hashes else ()
        ties.append((("group", group), *picture))
    return ties
