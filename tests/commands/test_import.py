"""`kembar import` against a hand-written service: every row is accounted for, whatever happens on the way."""

import json
import signal
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.bundle.picture_checks import MAX_IMAGE_BYTES
from service.commands.feed_load import FeedLoad
from service.commands.main import main
from tests.client.fake_service import FakeService, problem, serving
from tests.commands.shop import Shop, small_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A feed of three postings with two pictures."""
    return small_shop(tmp_path)


@pytest.fixture
def service() -> FakeService:
    """The service imported into."""
    return FakeService()


@pytest.fixture
def url(service: FakeService) -> Iterator[str]:
    """Its address."""
    with serving(service) as address:
        yield address


def run(shop: Shop, url: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["import", str(shop.csv), "--images", str(shop.images), "--url", url, *options])


def bulk_ids(service: FakeService) -> list[str]:
    bodies = [seen.body for seen in service.seen if seen.path == "/v1/bulk"]
    return [json.loads(line)["posting_id"] for body in bodies for line in body.splitlines()]


def test_a_feed_arrives_as_it_is(shop: Shop, service: FakeService, url: str) -> None:
    """Each row is stored with decoded title, picture and the extra columns; the group and the hash stay at home."""
    result = run(shop, url)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "3 rows in" in result.stdout
    assert "3 created, 0 updated, 0 unchanged, 0 bad" in result.stdout
    expected = FakeService()
    expected.put("m1", "Mug…", b"picture a", {"category": "Home/Mugs"})
    expected.put("m2", None, b"picture b", {})
    expected.put("m3", "Bowl", None, {"category": "Home"})
    assert {name: {**one, "revision": 0} for name, one in service.postings.items()} == {
        name: {**one, "revision": 0} for name, one in expected.postings.items()
    }


def test_unchanged_postings_are_not_sent(shop: Shop, service: FakeService, url: str) -> None:
    """A second import sends only what differs: another title, picture, metadata, a new row."""
    run(shop, url)
    service.seen.clear()
    shop.rows[3] = "m3,,Large bowl,g2,Home,"
    shop.add("m4,a.jpg,Cup,g3,,", "m5,a.jpg,Plate,g3,,")
    service.put("m4", "Cup", b"another picture", {})
    service.put("m5", "Plate", b"picture a", {"category": "Old"})
    service.put("not in the feed", "Spoon", None, {})

    result = run(shop, url)

    assert bulk_ids(service) == ["m3", "m4", "m5"]
    assert "0 created, 3 updated, 2 unchanged, 0 bad" in result.stdout
    assert "not in the feed" in service.postings


def test_a_label_or_a_hash_that_changes_is_no_change(shop: Shop, service: FakeService, url: str) -> None:
    """What is not sent cannot make a posting different."""
    run(shop, url)
    service.seen.clear()
    shop.rows[1] = shop.rows[1].replace("g1", "g7").replace("9abc", "ffff")
    shop.add()

    assert "3 unchanged" in run(shop, url).stdout
    assert bulk_ids(service) == []


def test_the_order_of_metadata_is_no_change(shop: Shop, service: FakeService, url: str) -> None:
    """Metadata are compared by their names, whatever order the service or the feed gives them in."""
    service.put("m1", "Mug", None, {"colour": "red", "brand": "Sri"})
    shop.csv.write_text("posting_id,title,brand,colour\nm1,Mug,Sri,red\n")

    assert "1 unchanged" in run(shop, url).stdout


def test_each_bad_row_is_one_line(shop: Shop, service: FakeService, url: str) -> None:
    """Bad rows, found here or by the service, are one line each on stderr, stop nothing and end with exit code 1."""
    (shop.images / "huge.jpg").touch()
    with (shop.images / "huge.jpg").open("r+b") as huge:
        huge.truncate(MAX_IMAGE_BYTES + 1)
    service.line_problems = {"m2": deque([422])}
    shop.add(
        "m6,lost.jpg,Mug,,,", "m1,a.jpg,Mug,,,", "m7,huge.jpg,Mug,,,", "m8,,,,,", "m\x1b9,b.jpg,Mug,,,", "m10,,Cup,,,"
    )
    service.line_problems["m\x1b9"] = deque([422])

    result = run(shop, url)

    assert result.exit_code == 1
    assert sorted(result.stderr.splitlines()) == sorted(
        [
            "row 3 (posting m2): odd: As told.",
            "row 5 (posting m6): picture file missing: lost.jpg",
            "row 6 (posting m1): posting_id is already in row 2",
            f"row 7 (posting m7): picture file has {MAX_IMAGE_BYTES + 1} bytes, the most is {MAX_IMAGE_BYTES}",
            "row 8 (posting m8): neither picture nor title",
            "row 9 (posting m 9): odd: As told.",
        ]
    )
    assert "9 rows" in result.stdout
    assert "3 created, 0 updated, 0 unchanged, 6 bad" in result.stdout
    assert set(service.postings) == {"m1", "m3", "m10"}


def test_json_is_one_object(shop: Shop, service: FakeService, url: str) -> None:
    """With --json the counts and the bad rows, torn ones among them, are one object; their lines are on stderr."""
    shop.add("m4,,Cup", 'm5,,"Cup" blue,,,', "m6,lost.jpg,Mug,,,", 'm7,,"Plate,,,', "m8,,Jug,,,")

    result = run(shop, url, "--json")
    report = json.loads(result.stdout)

    reasons = {
        5: (None, "expected 6 fields, found 3"),
        6: (None, "quoting is broken in lines 6 to 6: ',' expected after '\"'"),
        7: ("m6", "picture file missing: lost.jpg"),
        8: (None, "quoting is broken in lines 8 to 9: unexpected end of data"),
    }
    assert report.pop("seconds") > 0
    assert report == {
        "rows": 7,
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "bad": 4,
        "bad_rows": [{"row": row, "posting_id": name, "reason": why} for row, (name, why) in reasons.items()],
    }
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"posting_id;image;title\n", "expected a comma between columns, found a semicolon"),
        ("posting_id,image,title\nm1,a.jpg,Café\n".encode("latin-1"), "not UTF-8 (byte 0xe9 in line 2)"),
        (b"id,picture\n", "found id, picture"),
    ],
)
def test_a_broken_feed_is_one_line(shop: Shop, service: FakeService, url: str, content: bytes, message: str) -> None:
    """A feed that cannot be read is one clear line and exit code 3, before the service hears of it."""
    shop.csv.write_bytes(content)

    result = run(shop, url)

    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert service.seen == []


def test_wrong_usage(shop: Shop, url: str, tmp_path: Path) -> None:
    """A file or folder that is not there and an address that is none are wrong usage: exit code 2."""
    images = str(shop.images)
    runner = CliRunner()

    assert runner.invoke(main, ["import", "nowhere.csv", "--images", images]).exit_code == 2
    assert runner.invoke(main, ["import", str(shop.csv), "--images", str(tmp_path / "nowhere")]).exit_code == 2
    assert runner.invoke(main, ["import", str(shop.csv)]).exit_code == 2
    assert run(shop, "localhost:8080").exit_code == 2


def test_a_service_that_is_not_there(shop: Shop, service: FakeService) -> None:
    """Without a service the import waits as told, then says in one line what to do: exit code 3."""
    with serving(service) as url:
        pass
    result = run(shop, url, "--retry-s", "0.6")

    waiting, stopped = result.stderr.splitlines()
    assert result.exit_code == 3
    assert f"no connection to {url}" in waiting
    assert "trying again for 0.6 s" in waiting
    assert "kembar serve" in stopped


def test_retry_after_is_kept(shop: Shop, service: FakeService, url: str) -> None:
    """Where the service asks for longer than the time to wait, the import stops at once instead of knocking."""
    service.script.extend([problem(503, "overloaded", "Later.", retry_after="99")])

    result = run(shop, url, "--retry-s", "5")

    assert result.exit_code == 3
    assert "503 overloaded: Later." in result.stderr
    assert len(service.seen) == 1


def test_a_fault_that_stays_stops_the_import(shop: Shop, service: FakeService, url: str) -> None:
    """A refusal that waiting does not mend is one line and exit code 3."""
    service.script.append(problem(403, "forbidden", "Another key, please."))

    result = run(shop, url)

    assert result.exit_code == 3
    assert "403 forbidden: Another key, please." in result.stderr
    assert len(service.seen) == 1


def test_a_picture_is_read_once_for_all_its_postings(
    shop: Shop, service: FakeService, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postings that share a picture and are held unchanged cost one reading of its file."""
    shop.add(*(f"x{number},a.jpg,Mug {number},,," for number in range(5)))
    run(shop, url)
    reads: list[str] = []
    original = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        reads.append(path.name)
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)

    assert "8 unchanged" in run(shop, url).stdout
    assert reads == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop(shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM leave one line that says how to go on, each with its exit code."""
    monkeypatch.setattr(FeedLoad, "run", lambda _self: signal.raise_signal(number))
    result = run(shop, url)

    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith("Stopped. What was acknowledged is stored")
