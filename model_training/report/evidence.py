"""What the report shows: a bundle's vectors of a catalogue, and whom it asks."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.evaluate import needed
from model_training.fit import rank_view_set
from model_training.material import Material, prepare_material
from model_training.posting_vectors import PostingVectors, encode_catalogue
from model_training.ranking import Ranking
from model_training.recipe import Recipe
from model_training.seen import read_seen, refuse_seen
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.views import Goal, View, view_set_key

_THREADS = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    A bundle before a catalogue.

    `queries` are the postings of the test part where the bundle was trained on this very catalogue (`is_own`), else
    all of them; every posting stands in the gallery. `rankings` by view set, contradicting titles noted, the row
    numbers those of the catalogue; `present` are the postings that stand there. `encode_s` is what encoding took.
    """

    bundle: Bundle
    recipe: Recipe
    material: Material
    vectors: PostingVectors
    queries: NDArray[np.int64]
    is_own: bool
    rankings: Mapping[str, Ranking]
    present: Mapping[str, NDArray[np.int64]]
    encode_s: float

    def asked(self, key: str) -> NDArray[np.int64]:
        """The queries of a view set's ranking."""
        return self.queries[np.isin(self.queries, self.present[key])]

    def weights(self, views: frozenset[View]) -> dict[View, float]:
        """The bundle's fusion weights of these views."""
        return {view: self.bundle.manifest.weights[view] for view in views}

    def threshold(self, key: str, goal: Goal, share: float = 1) -> float:
        """What the bundle asks for in a gallery of this share of the catalogue."""
        return needed(self.bundle.manifest, key, goal, round(share * len(self.material.catalogue)))


def gather(path: Path, csv: Path, images: Path, cache: Path) -> Evidence:
    """
    Encode a catalogue by a bundle and rank it.

    Raises:
        TrainingError, FeedError, BundleError.
    """
    bundle = load_bundle(path, threads=_THREADS)
    manifest = bundle.manifest
    recipe = Recipe.read(manifest.provenance.get("recipe", "{}"))
    material = prepare_material(csv, images, manifest.picture, cache, seed=recipe.seed, fold=recipe.fold)
    catalogue = material.catalogue
    is_own = manifest.provenance.get("data") == f"sha256:{catalogue.fingerprint()}"
    queries = material.split.test if is_own else np.arange(len(catalogue))
    refuse_seen(read_seen(path), catalogue, queries, f"the bundle {path.name}")
    started = time.monotonic()
    vectors = encode_catalogue(catalogue, material.pixels, bundle.image, bundle.title, bundle.lexical)
    encode_s = time.monotonic() - started
    rankings, present = {}, {}
    for views in vectors.view_sets():
        key, weights = view_set_key(views), {view: manifest.weights[view] for view in views}
        present[key] = vectors.having(views)
        ranking = rank_view_set(vectors, catalogue.groups, catalogue.titles, queries, weights)
        rankings[key] = ranking.numbered(present[key])
    return Evidence(bundle, recipe, material, vectors, queries, is_own, rankings, present, encode_s)
