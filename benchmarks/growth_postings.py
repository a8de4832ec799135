"""
The postings that `benchmarks.growth` grows a catalogue of: drawn in parts, and real ones, each encoded once and kept.

    python -m benchmarks.growth_postings 100000

draws ahead of time what a catalogue of that size needs: 37 CPU minutes and 2 GB for 100,000. A broken run goes on with
the part it stood at.
"""

import dataclasses
import fcntl
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_training.catalogue import read_catalogue
from model_training.pixels import load_pixels
from model_training.posting_vectors import encode_catalogue
from model_training.sample.catalogue import draw_catalogue
from service.bundle.bundle import Bundle

CACHE = Path(".cache/growth")
SEED = 40_000  # of the first part, the next part has the next: no bundle learned from these
PART = 2_500
TITLED = {"luma": True, "grocery": False, "clothing": False}  # two have names of classes instead of titles
_THREADS = 2

Strings = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Postings:
    """
    n postings. `ids`, `titles` ("" for none), `groups` and `pictures` (digests, "" for none) are (n,).

    `vectors` holds per view (n, dimension) float32 unit rows, zeros where a posting lacks the view.
    """

    ids: Strings
    titles: Strings
    groups: Strings
    pictures: Strings
    vectors: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64] | slice) -> "Postings":
        """The postings of these rows, in this order."""
        columns = (self.ids[rows], self.titles[rows], self.groups[rows], self.pictures[rows])
        return Postings(*columns, {view: vectors[rows] for view, vectors in self.vectors.items()})


def join(parts: Sequence[Postings]) -> Postings:
    """All of them, one after another."""
    names = ("ids", "titles", "groups", "pictures")
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return Postings(
        *columns, {view: np.concatenate([part.vectors[view] for part in parts]) for view in parts[0].vectors}
    )


def draw_parts(postings: int, cache: Path) -> list[Path]:
    """
    The folders of so many drawn postings and the part after them, drawn where they are missing.

    Raises SystemExit where what lies in the cache was drawn by another version.
    """
    folders = [cache / "drawn" / str(SEED + number) for number in range(-(-postings // PART) + 1)]
    for number, folder in enumerate(folders):
        if not folder.exists():
            print(f"part {number + 1} of {len(folders)} is drawn", flush=True)
            draw_part(folder, SEED + number)
    with tempfile.TemporaryDirectory() as head:  # a smaller catalogue is the head of a larger one
        draw_catalogue(Path(head), products=0, seed=SEED, postings=1)
        if not (folders[0] / "postings.csv").read_bytes().startswith((Path(head) / "postings.csv").read_bytes()):
            raise SystemExit(f"{cache}: drawn by another version of kembar-train sample; remove it and run again")
    return folders


def draw_part(folder: Path, seed: int) -> None:
    """Draw PART postings into this folder, if it is not there."""
    stage = folder.with_suffix(".unfinished")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():  # else another run drew it while this one waited
            shutil.rmtree(stage, ignore_errors=True)
            draw_catalogue(stage, products=0, seed=seed, postings=PART)
            stage.rename(folder)


def encode_all(folders: Mapping[str, Path], bundle: Bundle, cache: Path) -> list[Postings]:
    """Encode each catalogue, two at a time, with an encoder of one thread each; those that are kept are read."""
    kept = cache / "vectors" / bundle.manifest.encoder_id.removeprefix("sha256:")[:16]
    kept.mkdir(parents=True, exist_ok=True)
    with ThreadPool(_THREADS) as pool:
        done = pool.imap(partial(_encode, bundle, kept), folders.items())
        return list(tqdm(done, total=len(folders), desc="encoding", unit="part", disable=None))


def _encode(bundle: Bundle, kept: Path, source: tuple[str, Path]) -> Postings:
    name, folder = source
    file = kept / f"{name}.npz"
    if not file.exists():
        catalogue = read_catalogue(folder / "postings.csv", folder / "images")
        if not TITLED.get(name, True):
            catalogue = dataclasses.replace(catalogue, titles=(None,) * len(catalogue))
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            pixels = load_pixels(catalogue, bundle.manifest.picture, Path(scratch))
            vectors = encode_catalogue(catalogue, pixels, bundle.image, bundle.title, bundle.lexical)
            columns = (catalogue.posting_ids, [text or "" for text in catalogue.titles], catalogue.groups.astype(str))
            named = [np.char.add(f"{name}-", np.array(columns[0])), np.array(columns[1])]
            named += [np.char.add(f"{name}-", columns[2]), np.array([digest or "" for digest in catalogue.digests])]
            np.savez(Path(scratch) / "new.npz", *named, **{str(view): v for view, v in vectors.by_view.items()})
            (Path(scratch) / "new.npz").rename(file)
    with np.load(file) as arrays:
        views = {view: arrays[view] for view in bundle.dimensions}
        return Postings(*(arrays[f"arr_{number}"] for number in range(4)), views)


if __name__ == "__main__":
    draw_parts(int(sys.argv[1]), CACHE)
