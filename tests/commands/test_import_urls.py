"""`kembar import` of a feed whose pictures are URLs: what is fetched, what is not, and what each failure says."""

import json
import os
import re
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.commands import pictures
from service.commands.main import main
from service.commands.pictures import BadPicture, is_public, picture_fetcher
from tests.client.fake_service import FakeService, serving
from tests.commands.picture_server import MONDAY, PictureServer, picture_server


@pytest.fixture
def web() -> Iterator[PictureServer]:
    """A web server with a few pictures, each known by its state in another way."""
    with picture_server() as server:
        server.pictures["/a.jpg"] = {"ETag": '"a1"'}, b"picture a"
        server.pictures["/b.jpg"] = {"Last-Modified": MONDAY}, b"picture b\nof two lines"
        server.pictures["/c.jpg"] = {}, b"picture c"
        yield server


@pytest.fixture
def service() -> FakeService:
    """The service imported into."""
    return FakeService()


@pytest.fixture
def url(service: FakeService) -> Iterator[str]:
    """Its address."""
    with serving(service) as address:
        yield address


def run(folder: Path, url: str, rows: list[str], *options: str) -> Result:
    (folder / "feed.csv").write_text("\n".join(["posting_id,image,title", *rows]) + "\n")
    arguments = [str(folder / "feed.csv"), "--url", url, "--cache", str(folder / "cache"), "--json", *options]
    return CliRunner().invoke(main, ["import", *arguments])


def digests(service: FakeService) -> dict[str, object]:
    return {name: posting["image_sha256"] for name, posting in service.postings.items()}


def test_files_and_urls_in_one_feed(web: PictureServer, service: FakeService, url: str, tmp_path: Path) -> None:
    """Pictures from files and URLs arrive with their own postings, in the feed's order; one shared is fetched once."""
    (tmp_path / "d.jpg").write_bytes(b"picture d")
    names = ["a", "b", "a", "d", "c", "a", "", *[""] * pictures.AT_ONCE * 2] * 3
    rows = [
        f"m{number:02},{'d.jpg' if name == 'd' else name and f'{web.url}/{name}.jpg'},Mug"
        for number, name in enumerate(names)
    ]
    result = run(tmp_path, url, rows, "--images", str(tmp_path), "--allow-private-hosts")

    assert (result.exit_code, result.stderr) == (0, "")
    contents = {"a": b"picture a", "b": b"picture b\nof two lines", "c": b"picture c", "d": b"picture d"}
    assert list(service.postings) == [f"m{number:02}" for number in range(len(names))]
    assert digests(service) == {
        f"m{number:02}": sha256(contents[name]).hexdigest() if name else None for number, name in enumerate(names)
    }
    assert sorted(web.sent) == ["/a.jpg", "/b.jpg", "/c.jpg"]
    assert 1 < web.most_at_once <= pictures.AT_ONCE


def test_a_second_import_fetches_what_has_changed(
    web: PictureServer, service: FakeService, url: str, tmp_path: Path
) -> None:
    """What the server says is unchanged is not fetched again, a damaged cache is no picture, and a change arrives."""
    rows = [f"{name},{web.url}/{name}.jpg,Mug" for name in "abc"]
    run(tmp_path, url, rows, "--allow-private-hosts")
    web.sent.clear()
    second = json.loads(run(tmp_path, url, rows, "--allow-private-hosts").stdout)
    unchanged_sent = web.sent.copy()
    web.sent.clear()
    web.pictures["/a.jpg"] = {"ETag": '"a2"'}, b"another picture a"
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes().replace(b"picture b", b"picture B"))
    third = json.loads(run(tmp_path, url, rows, "--allow-private-hosts").stdout)

    assert (second["unchanged"], unchanged_sent) == (3, ["/c.jpg"])  # of c the server does not say
    assert (third["updated"], third["unchanged"], sorted(web.sent)) == (1, 2, ["/a.jpg", "/b.jpg", "/c.jpg"])
    assert digests(service)["a"] == sha256(b"another picture a").hexdigest()


def test_each_failure_is_one_bad_row(
    web: PictureServer, service: FakeService, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture that cannot be had is a bad row with its reason, in the feed's order; the other rows are stored."""
    monkeypatch.setattr(pictures, "TIME_LIMIT_S", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        closed_port = closed.getsockname()[1]
    reasons = {
        f"{web.url}/nowhere": "the picture's server answered 404",
        f"{web.url}/loop": "the picture's URL redirects more than 3 times",
        f"{web.url}/hops/4": "the picture's URL redirects more than 3 times",
        f"{web.url}/ftp": "the picture's URL redirects to something else than http",
        f"{web.url}/page": "the picture's URL gives text/html, not a picture",
        f"{web.url}/gzip": "the picture's URL gives gzip, not a picture",
        f"{web.url}/slow-head": "the picture was not there within 0.6 s",
        f"{web.url}/slow-body": "the picture was not there within 0.6 s",
        f"{web.url}/huge": "the picture at the URL has more than 10485760 bytes, which is the most",
        f"{web.url}/cut": "the picture cannot be fetched: .+",
        f"http://127.0.0.1:{closed_port}/a.jpg": "the picture cannot be fetched: .+",
        "http://no-such-host.invalid/a.jpg": "the picture cannot be fetched: .+",
        "http://[::1/a.jpg": "the picture's URL is none: .+",
        f"http://{'x' * 70}.example/a.jpg": "the picture.+",
        "https://": "the picture.+",
    }
    rows = [f"bad{number},{picture},Mug" for number, picture in enumerate(reasons)]
    rows[3:3] = [f"m1,{web.url}/hops/3,Mug", f"m2,HTTP{web.url[4:]}/a.jpg,Mug"]

    result = run(tmp_path, url, rows, "--allow-private-hosts")
    report = json.loads(result.stdout)

    assert result.exit_code == 1
    assert digests(service) == dict.fromkeys(("m1", "m2"), sha256(b"picture a").hexdigest())
    assert (report["created"], report["bad"]) == (2, len(reasons))
    assert [row["posting_id"] for row in report["bad_rows"]] == [f"bad{number}" for number in range(len(reasons))]
    for row, reason in zip(report["bad_rows"], reasons.values(), strict=True):
        assert re.fullmatch(reason, row["reason"]), row
    assert result.stderr.splitlines() == [
        f"row {row['row']} (posting {row['posting_id']}): {row['reason']}" for row in report["bad_rows"]
    ]


def test_private_hosts_are_refused(web: PictureServer, service: FakeService, url: str, tmp_path: Path) -> None:
    """Unless it is allowed, nothing is fetched from this machine or a private network, by number or by name."""
    port = web.url.rpartition(":")[2]
    hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "169.254.169.254", "10.0.0.1"]
    result = run(tmp_path, url, [f"m{number},http://{host}:{port}/a.jpg,Mug" for number, host in enumerate(hosts)])

    for host, row in zip(hosts, json.loads(result.stdout)["bad_rows"], strict=True):
        assert row["reason"] == (
            f"{host.strip('[]')} is not on the public internet; --allow-private-hosts fetches from it all the same"
        )
    assert (web.hosts, service.postings) == ([], {})
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *(("93.184.215.14", True), ("2606:4700::1111", True), ("::ffff:93.184.215.14", True)),
        *((name, False) for name in ("127.0.0.1", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "192.168.1.1")),
        *((name, False) for name in ("169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.64.0.1")),
        *((name, False) for name in ("224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "192.0.2.1")),
        *((name, False) for name in ("::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "2001:db8::1")),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """Only what is reachable from everywhere is public, in whatever form an address of the other kind is wrapped."""
    assert is_public(address) is public


def test_the_address_that_was_checked_is_the_one_connected_to(
    web: PictureServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is looked up once; of its addresses only a permitted one is connected to, under the name, hop by hop."""
    port, looked_up = int(web.url.rpartition(":")[2]), []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        looked_up.append(host)
        addresses = ["127.0.0.9", "127.0.0.1"] if host == "shop.example" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(pictures.anyio, "getaddrinfo", getaddrinfo)
    with picture_fetcher(tmp_path, lambda address: address == "127.0.0.1") as fetcher:
        content = fetcher.start(f"http://shop.example:{port}/a.jpg").result()
        with pytest.raises(BadPicture, match=r"^127\.0\.0\.2 is not on the public internet"):
            fetcher.start(f"http://shop.example:{port}/other").result()

    assert content == b"picture a"
    assert looked_up.count("shop.example") == 1  # the second went over the same connection
    assert set(web.hosts) == {f"shop.example:{port}"}


def test_the_cache_cannot_be_written(web: PictureServer, url: str, tmp_path: Path) -> None:
    """A cache folder that cannot be written ends the import with one line that names it: exit code 3."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o500)
    if os.access(tmp_path / "cache", os.W_OK):  # root writes everywhere: a file in its place
        (tmp_path / "cache").rmdir()
        (tmp_path / "cache").write_text("")
    with picture_fetcher(tmp_path / "cache", lambda _: True) as fetcher:
        fault = fetcher.start(f"{web.url}/a.jpg").exception()

    assert "cannot be written" in str(fault)
    assert str(tmp_path / "cache") in str(fault)


def test_files_need_their_folder(service: FakeService, url: str, tmp_path: Path) -> None:
    """Without --images a feed that names a file is wrong usage, told with the row, before anything is sent."""
    result = run(tmp_path, url, ["m1,,Mug", "m2,a\x1b.jpg,Mug"])

    assert result.exit_code == 2
    assert "row 3 names the picture file a .jpg: give the folder that holds it with --images." in result.stderr
    assert service.seen == []
