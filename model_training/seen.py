"""What encoders have learned from, as short hashes that travel with them: nobody measures them on it again."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_training.catalogue import Catalogue
from model_training.errors import SeenPosting

SEEN = "seen.npy"
"""File of a bundle: sorted uint64, the marks (see `Catalogue`) of all that encoders and thresholds were fitted on."""


def join_marks(*marks: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each mark once, sorted, without the 0 that stands for "none"."""
    joined = np.unique(np.concatenate([some.ravel() for some in marks]))
    return joined[joined > 0]


def read_seen(bundle: Path) -> NDArray[np.uint64]:
    """What a bundle has seen; nothing is known of a bundle older than this file."""
    path = bundle / SEEN
    return np.load(path, allow_pickle=False) if path.exists() else np.zeros(0, dtype=np.uint64)


def refuse_seen(seen: NDArray[np.uint64], catalogue: Catalogue, rows: NDArray[np.int64], who: str) -> None:
    """
    Stop where a posting that is to be asked was learned from: its figures would be too good.

    Args:
        seen: marks of what `who` has learned from; rows: the postings to ask.

    Raises:
        SeenPosting: how many, and the first one.
    """
    known = rows[np.isin(catalogue.marks[rows], seen).any(axis=1)]
    if known.size:
        raise SeenPosting(
            f"expected test postings that {who} has not seen, but it was fitted on {known.size} of {len(rows)}, first "
            f"{catalogue.posting_ids[known[0]]} in row {catalogue.feed_rows[known[0]]}; leave these out (of the "
            "catalogue and seed that it was trained with, the test part is unseen: `kembar-train report` asks that)"
        )
