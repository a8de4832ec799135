"""The postings to learn from, read from a feed, with their groups and the digests of their pictures."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_training.errors import UnusableCatalogue
from service.bundle.errors import PostingError
from service.bundle.feed import BadRow, FeedRow, read_feed
from service.bundle.title import check_title

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """
    Postings in the order of their feed; every tuple has one entry a posting.

    `groups` (n,) int64 numbers the products from 0. `digests` are SHA-256 of the picture files; None without a picture.
    """

    posting_ids: tuple[str, ...]
    pictures: tuple[Path | None, ...]
    digests: tuple[str | None, ...]
    titles: tuple[str | None, ...]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.posting_ids)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Catalogue":
        """The postings of these rows, in this order; groups keep their numbers."""
        return Catalogue(
            posting_ids=tuple(self.posting_ids[row] for row in rows),
            pictures=tuple(self.pictures[row] for row in rows),
            digests=tuple(self.digests[row] for row in rows),
            titles=tuple(self.titles[row] for row in rows),
            groups=self.groups[np.asarray(rows, dtype=np.int64)],
        )

    def fingerprint(self) -> str:
        """SHA-256 over ids, groups, titles and pictures: two runs on equal data carry the same."""
        lines = zip(self.posting_ids, self.groups.tolist(), self.titles, self.digests, strict=True)
        return hashlib.sha256("\n".join(map(repr, lines)).encode()).hexdigest()


def read_catalogue(csv: Path, images: Path) -> Catalogue:
    """
    Read postings.csv (our columns or Kaggle's) and the digests of its pictures.

    A row that cannot be used is left out with one logged line; the counts are logged at the end. A row without a
    label_group is a product of its own.

    Raises:
        FeedError: the file is no feed (from `service.bundle.feed`).
        UnusableCatalogue: no row can be used.
    """
    rows: list[FeedRow] = []
    bad = 0
    for row in tqdm(read_feed(csv, images), desc="reading postings", unit="row", disable=None):
        reason = row.reason if isinstance(row, BadRow) else _fault(row)
        if reason is None and isinstance(row, FeedRow):
            rows.append(row)
        else:
            bad += 1
            logger.warning("row %d (posting %s) left out: %s", row.row, row.posting_id, reason)
    logger.info("%d postings read from %s, %d rows left out", len(rows), csv.name, bad)
    if not rows:
        raise UnusableCatalogue(f"{csv}: expected postings, found no usable row; the lines above say why")
    return Catalogue(
        posting_ids=tuple(row.posting_id for row in rows),
        pictures=tuple(row.image for row in rows),
        digests=_digest_pictures([row.image for row in rows]),
        titles=tuple(row.title for row in rows),
        groups=_number_groups(rows),
    )


def _fault(row: FeedRow) -> str | None:
    if row.image_url is not None:
        return "its picture is a URL: fetch it into the folder of pictures, and name the file"
    try:
        if row.title is not None:
            check_title(row.title)
    except PostingError as exc:
        return str(exc)
    return None


def _digest_pictures(pictures: Sequence[Path | None]) -> tuple[str | None, ...]:
    """Files are read once, however many postings share them."""
    known: dict[Path, str] = {}
    for path in tqdm(pictures, desc="hashing pictures", unit="posting", disable=None):
        if path is not None and path not in known:
            known[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return tuple(None if path is None else known[path] for path in pictures)


def _number_groups(rows: Sequence[FeedRow]) -> NDArray[np.int64]:
    numbers: dict[tuple[str, str], int] = {}
    keys = [("group", row.label_group) if row.label_group else ("posting", row.posting_id) for row in rows]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
