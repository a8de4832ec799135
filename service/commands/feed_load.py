"""Loads a feed into a running service: sends what differs, and goes on where a break left off."""

import hashlib
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path

from kembar_client import Kembar, Put
from kembar_client.answers import BulkAnswer, Problem
from kembar_client.errors import REFUSALS, KembarError, NoAnswer, Refused, ServiceFault
from service.bundle.feed import BadRow, FeedRow, read_feed
from service.bundle.picture_checks import MAX_IMAGE_BYTES

# Small enough that progress is seen and little is repeated after a break, large enough to keep the encoders busy.
BATCH_LINES = 100
BATCH_BYTES = 16 * 1024 * 1024
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
# A feed's own grouping is what the service is to find out, and its hash of the picture is of no use to it.
NOT_SENT = frozenset({"image_phash"})
PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.INSUFFICIENT_STORAGE,
    }
)


class Outcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Held:
    """What the service holds of a posting, short: digests of title with metadata, and of the picture as it was sent."""

    words: bytes
    image_sha256: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a feed holds, before anything is sent: its rows, bad ones included, and the ids among them."""

    rows: int
    posting_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a load tells: of every settled row, of every bad one, and of a wait for the service."""

    settled: Callable[[Outcome], None]
    bad: Callable[[BadRow], None]
    waiting: Callable[[str], None]


def survey(feed: Path, images: Path) -> Survey:
    """Read a feed once through. Raises FeedError where it cannot be read as a whole."""
    rows = 0
    posting_ids = set()
    for row in read_feed(feed, images):
        rows += 1
        if row.posting_id is not None:
            posting_ids.add(row.posting_id)
    return Survey(rows, frozenset(posting_ids))


@dataclass
class FeedLoad:
    """
    One import; a row that is settled is not sent again.

    Memory grows with the number of rows by an id and a few digests each, never with pictures.
    """

    kembar: Kembar
    feed: Path
    images: Path
    listener: Listener
    posting_ids: frozenset[str]
    patience_s: float
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    _digests: dict[Path, str] = field(default_factory=dict)

    def run(self) -> Counter[Outcome]:
        """
        Load every row, waiting up to `patience_s` without progress while the service is away or has too much to do.

        Raises:
            FeedError: the feed as a whole cannot be read.
            KembarError: the service refused as a whole, or stayed away.
        """
        patience = _Patience(self.patience_s)
        while True:
            settled_before = len(self.outcomes)
            try:
                self._pass()
                return Counter(self.outcomes.values())
            except (NoAnswer, Refused) as fault:
                if isinstance(fault, Refused) and fault.problem.status not in PASSING:
                    raise
                if patience.gives_up_at is None or len(self.outcomes) > settled_before:
                    patience.renew()
                    self.listener.waiting(str(fault))
                pause_s = patience.next_pause_s(fault)
                if pause_s is None:
                    raise
            time.sleep(pause_s)

    def _pass(self) -> None:
        held = {
            posting.posting_id: Held(_words(posting.title, posting.metadata), posting.image_sha256)
            for posting in self.kembar.scan()
            if posting.posting_id in self.posting_ids
        }
        sent: deque[FeedRow] = deque()
        operations = self._operations(held, sent)
        for answer in self.kembar.bulk(operations, max_lines=BATCH_LINES, max_bytes=BATCH_BYTES):
            self._answered(sent.popleft(), answer)

    def _operations(self, held: Mapping[str, Held], sent: deque[FeedRow]) -> Iterator[Put]:
        for row in read_feed(self.feed, self.images):
            if row.row in self.outcomes:
                continue
            if isinstance(row, BadRow):
                self._bad(row)
                continue
            try:
                put = self._put_if_different(row, held.get(row.posting_id))
            except OSError as exc:
                self._bad(BadRow(row.row, row.posting_id, f"picture file cannot be read: {exc.strerror}"))
                continue
            except _PictureTooLarge as exc:
                self._bad(BadRow(row.row, row.posting_id, str(exc)))
                continue
            if put is None:
                self._settle(row.row, Outcome.UNCHANGED)
                continue
            sent.append(row)
            yield put

    def _put_if_different(self, row: FeedRow, held: Held | None) -> Put | None:
        metadata = {name: value for name, value in row.extra.items() if value and name not in NOT_SENT}
        words_are_held = held is not None and held.words == _words(row.title, metadata)
        if words_are_held and held is not None and held.image_sha256 == self._image_sha256(row.image):
            return None
        return Put(row.posting_id, row.title, _picture(row.image) if row.image else None, metadata)

    def _image_sha256(self, image: Path | None) -> str | None:
        if image is None:
            return None
        if image not in self._digests:
            self._digests[image] = hashlib.sha256(_picture(image)).hexdigest()
        return self._digests[image]

    def _answered(self, row: FeedRow, answer: BulkAnswer) -> None:
        problem = answer.problem
        if problem is None:
            created = answer.status == HTTPStatus.CREATED
            self._settle(row.row, Outcome.CREATED if created else Outcome.UPDATED)
        elif problem.status in PASSING:
            raise REFUSALS.get(problem.status, ServiceFault)(problem)
        else:
            self._bad(BadRow(row.row, row.posting_id, _reason(problem)))

    def _bad(self, row: BadRow) -> None:
        self.listener.bad(row)
        self._settle(row.row, Outcome.BAD)

    def _settle(self, row: int, outcome: Outcome) -> None:
        self.outcomes[row] = outcome
        self.listener.settled(outcome)


@dataclass
class _Patience:
    """How long a service may be away: pauses that double, and an end that progress puts off."""

    seconds: float
    gives_up_at: float | None = None
    pause_s: float = 0.0

    def renew(self) -> None:
        self.gives_up_at = time.monotonic() + self.seconds
        self.pause_s = FIRST_PAUSE_S

    def next_pause_s(self, fault: KembarError) -> float | None:
        """Seconds to the next try, at least what the service asked for; None where that is past the end."""
        asked_s = fault.retry_after_s if isinstance(fault, Refused) and fault.retry_after_s else 0.0
        pause_s = max(self.pause_s, asked_s)
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
        return pause_s if self.gives_up_at and time.monotonic() + pause_s <= self.gives_up_at else None


class _PictureTooLarge(Exception):
    """A picture that the service would refuse by its size; it is not even read."""


def _picture(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_IMAGE_BYTES:
        raise _PictureTooLarge(f"picture file has {size} bytes, the most is {MAX_IMAGE_BYTES}")
    return path.read_bytes()


def _words(title: str | None, metadata: Mapping[str, object]) -> bytes:
    return hashlib.sha256(json.dumps([title, metadata], sort_keys=True).encode()).digest()


def _reason(problem: Problem) -> str:
    name = problem.type.rpartition(":")[2]
    where = f" (request {problem.request_id})" if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
    return f"{name}: {problem.detail or problem.title}{where}"
