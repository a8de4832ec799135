"""Loads a feed into a running service: sends what differs, and goes on where a break left off."""

import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from kembar_client import Kembar, Put
from kembar_client.answers import BulkAnswer, Problem
from kembar_client.errors import NoAnswer, Refused, refused
from service.bundle.feed import BadRow, FeedRow, read_feed
from service.commands.pictures import BadPicture, read_picture

# Small enough that progress is seen and little is repeated after a break, large enough to keep the encoders busy.
BATCH_LINES = 100
BATCH_BYTES = 16 * 1024 * 1024
# Whose pictures are fetched at once; each may take 10 MiB of memory.
ROWS_AHEAD = 8
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
# Kaggle's hash of the picture is of no use to the service.
NOT_SENT = frozenset({"image_phash"})
# Worth waiting for: too much to do, a restart behind a proxy, a full disk.
PASSING = frozenset({429, 502, 503, 504, 507})


class Outcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a load tells: of every settled row, of every bad one, and of a wait for the service."""

    settled: Callable[[Outcome], object]
    bad: Callable[[BadRow], None]
    waiting: Callable[[str], None]


def survey(feed: Path, images: Path | None) -> list[str | None]:
    """The id of every row, None where a bad one has none. Raises FeedError where the feed cannot be read as a whole."""
    return [row.posting_id for row in read_feed(feed, images)]


@dataclass
class FeedLoad:
    """
    One import; a row that is settled is not sent again.

    Memory grows with the number of rows by an id and a digest each, never with pictures.
    """

    kembar: Kembar
    feed: Path
    images: Path | None
    fetch: Callable[[str], "Future[bytes]"]
    listener: Listener
    posting_ids: frozenset[str | None]
    patience_s: float
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    # Variants of a product lie side by side and share a picture.
    _read: Callable[[Path], bytes] = field(default_factory=lambda: lru_cache(ROWS_AHEAD)(read_picture))

    def run(self) -> Counter[Outcome]:
        """
        Load every row, waiting up to `patience_s` without progress while the service is away or has too much to do.

        Raises:
            FeedError: the feed as a whole cannot be read.
            KembarError: the service refused as a whole, or stayed away.
        """
        settled, gives_up_at, pause_s = -1, 0.0, FIRST_PAUSE_S
        while True:
            try:
                self._pass()
                return Counter(self.outcomes.values())
            except (NoAnswer, Refused) as fault:
                if isinstance(fault, Refused) and fault.problem.status not in PASSING:
                    raise
                if len(self.outcomes) > settled:
                    settled, pause_s = len(self.outcomes), FIRST_PAUSE_S
                    gives_up_at = time.monotonic() + self.patience_s
                    self.listener.waiting(str(fault))
                wait_s = max(pause_s, fault.retry_after_s or 0)
                if time.monotonic() + wait_s > gives_up_at:
                    raise
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _pass(self) -> None:
        held = {
            posting.posting_id: _digest(posting.title, posting.metadata, posting.image_sha256)
            for posting in self.kembar.scan()
            if posting.posting_id in self.posting_ids
        }
        sent: deque[tuple[int, str]] = deque()
        operations = self._operations(held, sent)
        for answer in self.kembar.bulk(operations, max_lines=BATCH_LINES, max_bytes=BATCH_BYTES):
            self._answered(*sent.popleft(), answer)

    def _operations(self, held: Mapping[str, bytes], sent: deque[tuple[int, str]]) -> Iterator[Put]:
        for row, fetched in self._ahead():
            if isinstance(row, BadRow):
                self._bad(row)
                continue
            try:
                put = self._put(row, fetched)
            except BadPicture as exc:
                self._bad(BadRow(row.row, row.posting_id, str(exc)))
                continue
            image_sha256 = None if put.image is None else hashlib.sha256(put.image).hexdigest()
            if held.get(put.posting_id) == _digest(put.title, put.metadata, image_sha256):
                self._settle(row.row, Outcome.UNCHANGED)
            else:
                sent.append((row.row, put.posting_id))
                yield put

    def _ahead(self) -> Iterator[tuple[FeedRow | BadRow, "Future[bytes] | None"]]:
        """The rows that are left, in order, with the pictures of the next few being fetched meanwhile."""
        window: deque[tuple[FeedRow | BadRow, Future[bytes] | None]] = deque()
        for row in read_feed(self.feed, self.images):
            if row.row in self.outcomes:
                continue
            url = None if isinstance(row, BadRow) else row.image_url
            window.append((row, None if url is None else self.fetch(url)))
            if len(window) > ROWS_AHEAD:
                yield window.popleft()
        yield from window

    def _put(self, row: FeedRow, fetched: "Future[bytes] | None") -> Put:
        """What a row asks the service to hold. Raises BadPicture."""
        metadata = {name: value for name, value in row.extra.items() if value and name not in NOT_SENT}
        picture = None if row.image is None else self._read(row.image)
        return Put(row.posting_id, row.title, picture if fetched is None else fetched.result(), metadata)

    def _answered(self, row: int, posting_id: str, answer: BulkAnswer) -> None:
        problem = answer.problem
        if problem is None:
            self._settle(row, Outcome.CREATED if answer.status == HTTPStatus.CREATED else Outcome.UPDATED)
        elif problem.status in PASSING:
            raise refused(problem)
        else:
            self._bad(BadRow(row, posting_id, _reason(problem)))

    def _bad(self, row: BadRow) -> None:
        self.listener.bad(row)
        self._settle(row.row, Outcome.BAD)

    def _settle(self, row: int, outcome: Outcome) -> None:
        self.outcomes[row] = outcome
        self.listener.settled(outcome)


def _digest(title: str | None, metadata: Mapping[str, object], image_sha256: str | None) -> bytes:
    """What two postings of equal content share."""
    return hashlib.sha256(json.dumps([title, metadata, image_sha256], sort_keys=True).encode()).digest()


def _reason(problem: Problem) -> str:
    name = problem.type.rpartition(":")[2]
    where = f" (request {problem.request_id})" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
    return f"{name}: {problem.detail or problem.title}{where}"
