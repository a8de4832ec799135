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
from service.bundle.sealing import digest_of
from service.bundle.title import check_title, normalise_title

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """
    Postings in the order of their feed; every tuple has one entry a posting.

    `feed_rows` are the rows of the file, for messages. `groups` (n,) int64 numbers the products from 0. `digests` are
    SHA-256 of the picture files; None without a picture that can be read.

    `marks` (n, 2) uint64 give a posting away, whatever else is changed about it: the first 8 bytes of SHA-256 of its
    picture file, and of its normalised title with its label (a title alone may belong to many products); 0 without.
    """

    feed_rows: tuple[int, ...]
    posting_ids: tuple[str, ...]
    pictures: tuple[Path | None, ...]
    digests: tuple[str | None, ...]
    titles: tuple[str | None, ...]
    groups: NDArray[np.int64]
    marks: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.posting_ids)

    @property
    def files(self) -> NDArray[np.int64]:
        """(n,) one number a picture file; a posting without one has its own."""
        own = zip(self.digests, self.posting_ids, strict=True)
        numbers = np.unique([digest or posting_id for digest, posting_id in own], return_inverse=True)[1]
        return np.asarray(numbers, dtype=np.int64)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> "Catalogue":
        """The postings of these rows, in this order; groups keep their numbers."""
        at = np.asarray(rows, dtype=np.int64)
        return Catalogue(
            feed_rows=tuple(self.feed_rows[row] for row in at),
            posting_ids=tuple(self.posting_ids[row] for row in at),
            pictures=tuple(self.pictures[row] for row in at),
            digests=tuple(self.digests[row] for row in at),
            titles=tuple(self.titles[row] for row in at),
            groups=self.groups[at],
            marks=self.marks[at],
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
    digests = _digest_pictures(rows)
    return Catalogue(
        feed_rows=tuple(row.row for row in rows),
        posting_ids=tuple(row.posting_id for row in rows),
        pictures=tuple(row.image for row in rows),
        digests=digests,
        titles=tuple(row.title for row in rows),
        groups=_number_groups(rows),
        marks=np.array([_marks_of(*posting) for posting in zip(rows, digests, strict=True)], dtype=np.uint64),
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


def _digest_pictures(rows: Sequence[FeedRow]) -> tuple[str | None, ...]:
    """Files are read once, however many postings share them; one that cannot be read is told at its first row."""
    known: dict[Path | None, str | None] = {None: None}
    for row in tqdm(rows, desc="hashing pictures", unit="posting", disable=None):
        if row.image is not None and row.image not in known:
            try:
                known[row.image] = digest_of(row.image)
            except OSError as exc:
                known[row.image] = None
                logger.warning("row %d (posting %s): picture left out: %s", row.row, row.posting_id, exc)
    return tuple(known[row.image] for row in rows)


def _number_groups(rows: Sequence[FeedRow]) -> NDArray[np.int64]:
    numbers: dict[tuple[str, str], int] = {}
    keys = [("group", row.label_group) if row.label_group else ("posting", row.posting_id) for row in rows]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _marks_of(row: FeedRow, digest: str | None) -> tuple[int, int]:
    named = f"{row.label_group or row.posting_id}\0{normalise_title(row.title or '')}"
    return int((digest or "0")[:16], 16), int(hashlib.sha256(named.encode()).hexdigest()[:16], 16) if row.title else 0
