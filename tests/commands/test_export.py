"""`kembar export`: what the service holds, line by line, in a file that is whole or not there."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kembar_client import Kembar
from kembar_client.answers import Posting
from service.commands.main import main
from tests.client.fake_service import FakeService, Scripted, problem, serving
from tests.commands.live_service import live_service
from tests.service.conftest import jpeg


@pytest.fixture
def service() -> FakeService:
    """A service of 1,500 postings: two pages."""
    fake = FakeService()
    for number in range(1500):
        fake.put(f"m{number:04}", f"Mug\u2028 {number} é", None, {"shop": number % 2})
    return fake


@pytest.fixture
def url(service: FakeService) -> Iterator[str]:
    """Its address."""
    with serving(service) as address:
        yield address


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", "--url", url, *arguments])


def test_all_that_is_stored(service: FakeService, url: str, tmp_path: Path) -> None:
    """Each posting is one line with all its fields, in order of id, alike on stdout and in a file that replaces one."""
    out = tmp_path / "postings.ndjson"
    out.write_text("older")
    to_file, to_stdout = run(url, "--out", str(out)), run(url, "--json")

    assert (to_file.exit_code, to_file.stdout) == (0, "")
    assert to_file.stderr.startswith("1,500 postings in ")
    assert json.loads(to_stdout.stderr)["postings"] == 1500
    assert out.read_bytes() == to_stdout.stdout_bytes
    lines = [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]
    assert [{"vectors": None, **line} for line in lines] == list(service.postings.values())
    assert "vectors" not in lines[0]
    assert os.listdir(tmp_path) == ["postings.ndjson"]


def test_vectors_are_those_of_the_index(tmp_path: Path) -> None:
    """With --vectors each view's vector is there, bit for bit as the index holds it; a filter chooses."""
    out = tmp_path / "postings.ndjson"
    with live_service(tmp_path / "data") as service, Kembar(service.url) as kembar:
        for number in range(3):
            kembar.put(f"m{number}", title=f"Red mug {number}", image=jpeg(number), metadata={"shop": number})
        result = run(service.url, "--vectors", "--filter", '{"shop": 1}', "--out", str(out))
        (stored,) = kembar.scan(where={"shop": 1}, with_vectors=True)
        embedded = kembar.embeddings(title="Red mug 1").vectors["title"]

    (line,) = out.read_text().splitlines()
    assert result.exit_code == 0
    assert Posting.model_validate_json(line) == stored
    title = json.loads(line)["vectors"]["title"]
    assert np.array(title, np.float32).tobytes() == np.array(embedded, np.float16).astype(np.float32).tobytes()
    assert len(json.loads(line)["vectors"]["image"]) == 192


@pytest.mark.parametrize("second_page", [problem(500, "internal-error", "A bug."), Scripted(200, body=b"{")])
def test_a_fault_in_the_middle_leaves_no_half_file(
    service: FakeService, url: str, tmp_path: Path, second_page: Scripted
) -> None:
    """Where a page cannot be had, exit code 3, one line, and the older file is as it was."""
    out = tmp_path / "postings.ndjson"
    out.write_text("older")
    first = json.dumps({"postings": list(service.postings.values())[:1000], "next_cursor": "1000"}).encode()
    service.script.extend([Scripted(404), Scripted(200, body=first), second_page])

    result = run(url, "--out", str(out))

    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert (out.read_text(), os.listdir(tmp_path)) == ("older", ["postings.ndjson"])


def test_ctrl_c_leaves_no_half_file(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM in the middle is exit code 143, one line, and no file."""

    def scan(*_: object, **__: object) -> Iterator[Posting]:
        signal.raise_signal(signal.SIGTERM)
        yield from ()

    monkeypatch.setattr(Kembar, "scan", scan)
    result = run(url, "--out", str(tmp_path / "postings.ndjson"))

    assert (result.exit_code, result.stderr) == (143, "Stopped. Nothing is kept; the same command begins anew.\n")
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_written(url: str, tmp_path: Path) -> None:
    """A folder that is not there is one line with its reason."""
    result = run(url, "--out", str(tmp_path / "nowhere" / "postings.ndjson"))

    assert result.exit_code == 3
    assert "nowhere/postings.ndjson cannot be written: No such file or directory" in result.stderr


def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    """Where stdout leads to a full disk, the end is one line with the reason and exit code 3, not a traceback."""
    script = "from service.commands.main import main; main()"
    with live_service(tmp_path / "data") as service, Kembar(service.url) as kembar, Path("/dev/full").open("w") as full:
        for name in "ab":
            kembar.put(name, title="Mug")
        for command in ("export", "pairs"):
            arguments = [sys.executable, "-c", script, command, "--url", service.url]
            done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

            assert done.returncode == 3
            assert done.stderr == (
                "Error: standard output cannot be written: No space left on device; make room or choose another file\n"
            )
