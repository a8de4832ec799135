"""Loading a feed into a service that breaks off, refuses for a while or is restarted."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

import pytest

from kembar_client import Kembar, RetryPolicy
from kembar_client.errors import Unreachable
from service.bundle.feed import BadRow
from service.commands import feed_load
from service.commands.feed_load import FeedLoad, Listener, Outcome, survey
from tests.client.fake_service import FakeService, Scripted, serving
from tests.commands.shop import Shop, no_fetch, small_shop


@dataclass
class Road:
    """A service that a test can take away and bring back, and a load that leads to it."""

    shop: Shop
    stack: ExitStack
    gate: ExitStack
    service: FakeService = field(default_factory=FakeService)
    bad: list[BadRow] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    on_wait: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.url = self.gate.enter_context(serving(self.service))

    def load(self, patience_s: float = 5) -> FeedLoad:
        kembar = self.stack.enter_context(Kembar(self.url, retry=RetryPolicy(attempts=1)))
        listener = Listener(lambda _: None, self.bad.append, self._waiting)
        ids = frozenset(survey(self.shop.csv, self.shop.images))
        return FeedLoad(kembar, self.shop.csv, self.shop.images, no_fetch, listener, ids, patience_s)

    def _waiting(self, reason: str) -> None:
        self.waits.append(reason)
        self.on_wait()

    def bulk_ids(self) -> list[str]:
        bodies = [seen.body for seen in self.service.seen if seen.path == "/v1/bulk"]
        return [json.loads(line)["posting_id"] for body in bodies for line in body.splitlines()]


@pytest.fixture
def road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Road]:
    """A service in reach, an import of three rows in requests of one line, and short pauses."""
    monkeypatch.setattr(feed_load, "BATCH_LINES", 1)
    monkeypatch.setattr(feed_load, "FIRST_PAUSE_S", 0.05)
    with ExitStack() as stack, ExitStack() as gate:
        yield Road(small_shop(tmp_path), stack, gate)


def test_a_restart_in_the_middle(road: Road) -> None:
    """A load goes on by itself when the service comes back, and everything is stored once."""
    road.shop.add(*(f"x{number},a.jpg,Mug {number},,," for number in range(40)))
    road.service.line_problems["x20"] = deque([503])
    port = int(road.url.rpartition(":")[2])
    timer = Timer(0.3, lambda: road.gate.enter_context(serving(road.service, port)))

    def crash() -> None:
        if len(road.waits) == 1:
            road.gate.close()
            timer.start()

    road.on_wait = crash
    counts = road.load().run()
    timer.join()

    assert counts[Outcome.CREATED] + counts[Outcome.UNCHANGED] == 43
    assert set(road.service.postings) == {"m1", "m2", "m3", *(f"x{number}" for number in range(40))}
    assert max(road.bulk_ids().count(posting_id) for posting_id in road.service.postings) == 2
    assert road.bad == []


def test_a_service_that_stays_away(road: Road) -> None:
    """After the time to wait without progress the fault is raised, told once before."""
    load = road.load(patience_s=0.3)
    road.gate.close()

    with pytest.raises(Unreachable):
        load.run()
    assert len(road.waits) == 1


def test_answers_lost_on_the_way(road: Road) -> None:
    """Lines that were applied but never answered are found stored, and not sent again."""
    road.service.answers_to_lose = 1

    counts = road.load().run()

    assert counts == {Outcome.CREATED: 1, Outcome.UNCHANGED: 2} or counts == {Outcome.CREATED: 2, Outcome.UNCHANGED: 1}
    assert sorted(road.bulk_ids()) == ["m1", "m2", "m3"]
    assert len(road.waits) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504, 507])
def test_a_line_that_may_pass_later_is_sent_again(road: Road, status: int) -> None:
    """A row refused for want of room or time is not bad: it is sent again, and the rows before it are not."""
    road.service.line_problems["m2"] = deque([status])

    road.load().run()

    assert road.bad == []
    assert road.bulk_ids().count("m1") == 1
    assert road.bulk_ids().count("m2") == 2
    assert set(road.service.postings) == {"m1", "m2", "m3"}


def test_bad_rows_are_reported_once(road: Road) -> None:
    """A row that is bad is reported once, though the feed is gone through again after a break."""
    road.shop.rows.insert(1, "m0,lost.jpg,Mug,,,")
    road.shop.add()
    road.service.script.append(Scripted(0))
    road.service.line_problems["m2"] = deque([503])

    road.load().run()

    assert road.bad == [BadRow(2, "m0", "picture file missing: lost.jpg")]
    assert len(road.waits) == 2


def test_a_picture_that_vanishes_is_one_bad_row(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that can no longer be read when its turn comes is a bad row, not the end."""
    read = Path.read_bytes

    def vanished(path: Path) -> bytes:
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanished)
    counts = road.load().run()

    assert counts == {Outcome.CREATED: 2, Outcome.BAD: 1}
    assert road.bad == [BadRow(3, "m2", "picture file cannot be read: Permission denied")]


def test_few_pictures_are_fetched_ahead(road: Road) -> None:
    """However long the feed is, pictures are fetched for the next few rows only: memory stays bounded."""
    road.shop.csv.write_text("\n".join(["posting_id,image", *(f"x{n},http://x/{n}.jpg" for n in range(50))]) + "\n")
    started: list[str] = []

    def fetch(url: str) -> Future[bytes]:
        started.append(url)
        done: Future[bytes] = Future()
        done.set_result(url.encode())
        return done

    load = road.load()
    load.fetch = fetch
    operations = load._operations({}, deque())

    assert next(operations).image == b"http://x/0.jpg"
    assert started == [f"http://x/{number}.jpg" for number in range(feed_load.ROWS_AHEAD + 1)]
    assert [operation.image for operation in operations] == [f"http://x/{n}.jpg".encode() for n in range(1, 50)]
