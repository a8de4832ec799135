"""
The same encoders with a decision learned among few postings, so that a catalogue can grow a hundredfold from there.

    python -m benchmarks.growth_refit BUNDLE CSV IMAGES OUT [--postings 1000]
    python -m benchmarks.growth OUT

CSV and IMAGES are what BUNDLE was trained on. Weights, thresholds and calibration are fitted as training fits them, on
whole super-components of the validation part, by lot, each posting a query. Encodings are kept by encoder, so what
`benchmarks.growth` encoded with BUNDLE is used again.
"""

import argparse
import dataclasses
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.bundle_writer import staged
from model_training.fit import fit
from model_training.material import prepare_material
from model_training.posting_vectors import encode_catalogue
from model_training.recipe import Recipe
from service.bundle.bundle import MANIFEST, load_bundle
from service.bundle.manifest import write_manifest
from service.bundle.sealing import SUMS


def main() -> None:
    """Choose, encode, fit, and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bundle", "csv", "images", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--postings", type=int, default=1000)
    parser.add_argument("--cache", type=Path, default=Path(".cache/train"))
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, threads=1)
    manifest, recipe = bundle.manifest, Recipe.read(bundle.manifest.provenance["recipe"])
    material = prepare_material(
        options.csv, options.images, manifest.picture, options.cache, seed=recipe.seed, fold=recipe.fold
    )
    rows = choose(material.split.validation, material.components, options.postings, recipe.seed)
    catalogue = material.catalogue.take(rows)
    vectors = encode_catalogue(catalogue, material.pixels, bundle.image, bundle.title, bundle.lexical)
    fitted = fit(vectors, catalogue.groups, catalogue.titles, catalogue.files, np.arange(len(rows)), seed=recipe.seed)
    with staged(options.out) as stage:
        shutil.copytree(options.bundle, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SUMS))
        write_manifest(
            stage / MANIFEST,
            dataclasses.replace(
                manifest,
                metrics={},
                weights=fitted.weights,
                decisions=fitted.decisions,
                gallery_size=fitted.gallery_size,
            ),
        )
    print(f"{options.out}: the decision is learned among {len(rows)} postings")


def choose(rows: NDArray[np.int64], components: NDArray[np.int64], postings: int, seed: int) -> NDArray[np.int64]:
    """Rows of whole super-components, by lot, as many as fit into so many postings; rising."""
    lots = np.random.default_rng(seed).permutation(np.unique(components[rows]))
    sizes = np.bincount(components[rows], minlength=components.max() + 1)[lots]
    chosen = lots[np.cumsum(sizes) <= postings]
    return rows[np.isin(components[rows], chosen)]


if __name__ == "__main__":
    main()
