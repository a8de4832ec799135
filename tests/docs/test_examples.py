"""The example programs, run as their first lines say, against the real application on a fake bundle."""

import asyncio
import csv
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from kembar_client import AsyncKembar, Delete, Kembar, RetryPolicy
from tests.commands.live_service import live_service
from tests.service.conftest import jpeg

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    """An example as a module, to call what it defines."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: object) -> tuple[int, str, str]:
    """Run an example as a program; gives its exit code, what it prints and what it complains of."""
    command = [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for all tests here."""
    with live_service(tmp_path_factory.mktemp("data")) as service:
        yield service.url


@pytest.fixture
def kembar(url: str) -> Iterator[Kembar]:
    """A client of a shop that has one red plate."""
    with Kembar(url) as client:
        list(client.bulk([Delete(posting.posting_id) for posting in client.scan()] or [Delete("none")]))
        client.put("plate", title="red plate", image=jpeg(1))
        yield client


@pytest.mark.parametrize(
    ("title", "seed", "said", "kept"),
    [
        ("blue bowl", 2, "new: publish it\n", True),
        ("red plate large", 1, "publish it, and let a person look", True),
        ("red plate", 1, "refuse it: the shop has it already", False),
    ],
)
def test_an_upload_has_three_outcomes(
    kembar: Kembar, url: str, tmp_path: Path, title: str, seed: int, said: str, kept: bool
) -> None:
    """An upload is published, looked at or refused, as it matches by no goal, one or the strict one; twice alike."""
    (tmp_path / "photo.jpg").write_bytes(jpeg(seed))
    given = ("--id", "offer", "--title", title, "--image", tmp_path / "photo.jpg", "--url", url)

    for _ in range(2):
        code, printed, complaint = run("duplicate_check_at_upload", *given)

        assert (code, complaint) == (0, "")
        assert printed.startswith(said)
        assert ("  plate  'red plate'\n" in printed) == (seed == 1)
        assert [posting.posting_id for posting in kembar.scan()] == (["offer", "plate"] if kept else ["plate"])


def test_an_upload_that_is_no_picture_and_a_service_that_is_away(kembar: Kembar, url: str, tmp_path: Path) -> None:
    """What the seller must mend, what is to be tried again and what cannot be read are told apart by exit codes."""
    (tmp_path / "text.jpg").write_text("no picture")
    text, absent = (
        ("--id", "offer", "--image", tmp_path / "text.jpg"),
        ("--id", "offer", "--image", tmp_path / "absent"),
    )
    told = [
        run("duplicate_check_at_upload", *text, "--url", url),
        run("duplicate_check_at_upload", *text, "--url", "http://127.0.0.1:9"),
        run("duplicate_check_at_upload", *absent, "--url", url),
    ]

    assert [code for code, _, _ in told] == [1, 75, 2]
    assert told[0][2].startswith("the seller must send something else: expected ")
    assert told[1][2].startswith("not checked, try again with the same id: no connection to ")
    assert "the picture cannot be read" in told[2][2]


def test_an_upload_whose_answer_is_lost(kembar: Kembar, url: str) -> None:
    """An answer that is lost on its way costs a second try, and the outcome is the same."""

    class Losing(httpx.HTTPTransport):
        lost = 0

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if request.method == "PUT" and not self.lost:
                self.lost += 1
                response.close()
                raise httpx.ReadError("the line went dead")
            return response

    upload, transport = example("duplicate_check_at_upload"), Losing()
    with Kembar(url, transport=transport, retry=RetryPolicy(first_wait_s=0.01)) as client:
        decision = upload.check_upload(client, "offer", "red plate", jpeg(1))

    assert (decision.outcome, transport.lost) == (upload.Outcome.DUPLICATE, 1)
    assert [match.posting_id for match in decision.matches] == ["plate"]


@dataclass
class Feed:
    """A supplier's feed on disk, of which each run sends what differs."""

    folder: Path
    url: str
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)

    def sync(self) -> tuple[int, str, str]:
        """Write the feed and run the example on it."""
        with (self.folder / "feed.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [("posting_id", "title", "image"), *((key, *row) for key, row in self.rows.items())]
            )
        return run("nightly_feed_sync", "--feed", "one", "--url", self.url, self.folder / "feed.csv", self.folder)


def test_a_feed_is_followed(kembar: Kembar, url: str, tmp_path: Path) -> None:
    """New rows are created, changed ones replaced, those that went are deleted; a second run has nothing to do."""
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    feed = Feed(tmp_path, url, {f"m{number}": (f"mug {number}", "1.jpg" if number % 2 else "") for number in range(20)})
    assert feed.sync() == (0, "20 created\n", "")
    assert feed.sync() == (0, "20 unchanged\n", "")

    del feed.rows["m0"]
    (tmp_path / "1.jpg").write_bytes(jpeg(3))
    feed.rows |= {"m1": ("mug one", ""), "m2": ("mug 2", "absent.jpg"), "new": ("mug", "")}
    code, printed, complaint = feed.sync()

    assert (code, printed) == (1, "1 bad, 1 created, 1 deleted, 10 replaced, 8 unchanged\n")
    assert complaint.startswith("'m2': [Errno 2] No such file")
    stored = {posting.posting_id: (posting.title, posting.views) for posting in kembar.scan()}
    assert stored.keys() == {"plate", *feed.rows}
    assert (stored["m1"], stored["m2"]) == (("mug one", ("title",)), ("mug 2", ("title",)))


def test_a_broken_feed_deletes_nothing(kembar: Kembar, url: str, tmp_path: Path) -> None:
    """A feed that lost half its rows, or its columns, or that is no text, leaves the catalogue as it was."""
    feed = Feed(tmp_path, url, {f"m{number}": ("mug", "") for number in range(20)})
    feed.sync()
    for number in range(10):
        del feed.rows[f"m{number}"]

    assert feed.sync() == (
        1,
        "1 bad, 10 unchanged\n",
        "10 postings are not in the feed, at most 2 are deleted at once\n",
    )
    for content, said in ((b"id,name\n1,2\n", "no column image, posting_id, title"), (b"\xff\xfe", "cannot be read")):
        (tmp_path / "broken.csv").write_bytes(content)
        code, _, complaint = run("nightly_feed_sync", "--feed", "one", "--url", url, tmp_path / "broken.csv", tmp_path)
        assert (code, said in complaint) == (2, True), complaint
    assert len(list(kembar.scan())) == 21


def test_a_sync_that_is_broken_off_goes_on(kembar: Kembar) -> None:
    """A run that ends in the middle keeps what was sent, deletes nothing, and the next one does the rest."""
    sync = example("nightly_feed_sync")
    kembar.put("old", title="mug", metadata={"feed": "one"})
    rows = [{"posting_id": f"m{number}", "title": "mug", "image": ""} for number in range(1100)]

    def broken_off(rows: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
        yield from rows
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync.Sync(kembar, "one").run(broken_off(rows[:1050]), Path())
    stored = sum(1 for _ in kembar.scan(where={"feed": "one"}))
    done = sync.Sync(kembar, "one").run(iter(rows), Path())

    assert stored == 1001
    assert done == {"created": 100, "unchanged": 1000, "deleted": 1}


class Gate(httpx.AsyncHTTPTransport):
    """A way to the service that can be shut, so that no answer comes, or cut, so that every call fails at once."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.cut, self.asked = asyncio.Event(), False, 0
        self.open.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.cut:
            raise httpx.ConnectError("cut")
        await self.open.wait()
        return await super().handle_async_request(request)


def test_a_page_never_waits(kembar: Kembar, url: str) -> None:
    """A page gets what is known: nothing while the first answer is late, the old while a new one is late or fails."""
    similar_listings = example("similar_listings")
    kembar.put("twin", title="red plate", image=jpeg(1))

    async def pages() -> None:
        gate = Gate()
        async with AsyncKembar(url, transport=gate, retry=RetryPolicy(attempts=1)) as client:
            similar = similar_listings.SimilarListings(client, page_waits_s=0.05)

            async def shown() -> list[str]:
                return [match.posting_id for match in await similar.of("plate")]

            gate.open.clear()
            assert await asyncio.gather(*[shown() for _ in range(20)]) == [[]] * 20
            assert gate.asked == 1, "pages that want the same ask once"
            gate.open.set()
            while not similar._known:  # the late answer is kept
                await asyncio.sleep(0.01)
            assert (await shown(), await shown(), gate.asked) == (["twin"], ["twin"], 1)

            similar.time_to_live_s, similar.page_waits_s = 0, 10  # from here on everything is stale at once
            similar._known.clear()
            assert (await shown(), gate.asked) == (["twin"], 2)
            gate.cut = True
            assert (await shown(), gate.asked) == (["twin"], 3)
            gate.cut, similar.page_waits_s = False, 0.05
            gate.open.clear()
            assert await shown() == ["twin"]
            gate.open.set()
            similar.page_waits_s = 10
            kembar.delete("plate")
            while await shown():  # of what was taken down nothing is shown any more
                await asyncio.sleep(0.01)
            await similar.close()

    asyncio.run(pages())


def test_what_a_page_knows_is_bounded(kembar: Kembar, url: str) -> None:
    """Only so many postings' listings are kept, and the oldest goes first."""
    similar_listings = example("similar_listings")

    async def known() -> list[str]:
        async with AsyncKembar(url) as client:
            similar = similar_listings.SimilarListings(client, page_waits_s=10, most_known=2)
            for posting_id in ("a", "plate", "b"):
                await similar.of(posting_id)
            return list(similar._known)

    assert asyncio.run(known()) == ["plate", "b"]


def test_similar_listings_as_a_program(kembar: Kembar, url: str) -> None:
    """The program shows what a page would show, asked and known, and says so where Kembar is away."""
    kembar.put("twin", title="red plate", image=jpeg(1))
    code, printed, _ = run("similar_listings", "plate", "--url", url)
    away = run("similar_listings", "plate", "--url", "http://127.0.0.1:9")

    assert code == 0
    assert [line.split(" in ")[0] for line in printed.splitlines()[:2]] == ["1 similar listings"] * 2
    assert printed.splitlines()[2] == "  100.0%  twin  'red plate'"
    assert (away[0], away[1].count("0 similar listings"), away[2].count("no connection")) == (0, 2, 2)
