"""
The same encoders with a decision learned among few postings, so that a catalogue can grow a hundredfold from there.

    python -m benchmarks.growth_refit BUNDLE OUT [--postings 1000]
    python -m benchmarks.growth OUT

Weights, thresholds and calibration are fitted as training fits them, on drawn postings that neither BUNDLE has seen nor
the growing catalogue holds: whole super-components, by lot, each posting a query. Encodings are kept by encoder, so
what `benchmarks.growth` encoded with BUNDLE is used again.
"""

import argparse
import dataclasses
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.growth_postings import CACHE, SEED, draw_part
from model_training.bundle_writer import staged
from model_training.fit import fit
from model_training.material import prepare_material
from model_training.posting_vectors import encode_catalogue
from service.bundle.bundle import MANIFEST, load_bundle
from service.bundle.manifest import write_manifest
from service.bundle.sealing import SUMS

LAST = SEED + 999  # far behind the parts that a catalogue grows by


def main() -> None:
    """Draw, choose, encode, fit, and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--postings", type=int, default=1000)
    options = parser.parse_args()
    bundle, folder = load_bundle(options.bundle, threads=1), CACHE / "drawn" / str(LAST)
    draw_part(folder, LAST)
    material = prepare_material(
        folder / "postings.csv", folder / "images", bundle.manifest.picture, CACHE / "refit", seed=LAST
    )
    rows = choose(material.components, options.postings, LAST)
    catalogue = material.catalogue.take(rows)
    vectors = encode_catalogue(catalogue, material.pixels, bundle.image, bundle.title, bundle.lexical)
    fitted = fit(vectors, catalogue.groups, catalogue.titles, catalogue.files, np.arange(len(rows)), seed=LAST)
    with staged(options.out) as stage:
        shutil.copytree(options.bundle, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SUMS))
        write_manifest(
            stage / MANIFEST,
            dataclasses.replace(
                bundle.manifest,
                metrics={},
                weights=fitted.weights,
                decisions=fitted.decisions,
                gallery_size=fitted.gallery_size,
            ),
        )
    print(f"{options.out}: the decision is learned among {len(rows)} postings")


def choose(components: NDArray[np.int64], postings: int, seed: int) -> NDArray[np.int64]:
    """Rows of whole super-components, by lot, as many as fit into so many postings; rising."""
    lots = np.random.default_rng(seed).permutation(components.max() + 1)
    chosen = lots[np.cumsum(np.bincount(components)[lots]) <= postings]
    return np.flatnonzero(np.isin(components, chosen))


if __name__ == "__main__":
    main()
