"""`kembar check`: damage is found and told, one finding a line, and nothing is changed."""

import json
import shutil
from pathlib import Path

import apsw
import numpy as np
import pytest
from click.testing import CliRunner, Result

from index.index import Index
from index.postings import Draft
from service.bundle.bundle import Bundle
from service.commands import check
from service.commands.main import main
from tests.service.fake_bundle import TITLE_DIMENSION, fake_bundle


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


def fill(data_dir: Path, encoder_id: str = "sha256:fake") -> Index:
    """An index of two postings."""
    bundle = fake_bundle()
    index = Index.open(data_dir, encoder_id=encoder_id, dimensions=bundle.dimensions, weights=bundle.decision.weights)
    for place, posting_id in enumerate(("m1", "m2")):
        title = np.eye(TITLE_DIMENSION, dtype=np.float32)[place]
        index.put(Draft(posting_id, "Mug", {}, {"title": title}, None, None)).result()
    return index


@pytest.fixture
def _fake_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any --bundle is the fake one."""

    def load(path: Path, *, threads: int) -> Bundle:
        return fake_bundle()

    monkeypatch.setattr(check, "load_bundle", load)


def test_a_sound_directory(tmp_path: Path) -> None:
    """A sound directory gives no finding, exit code 0, and is afterwards what it was."""
    fill(tmp_path / "data").close()
    files = [
        file for file in (tmp_path / "data").iterdir() if not file.name.endswith("-shm")
    ]  # SQLite's scratch memory
    before = {file: file.read_bytes() for file in files}

    result = run("--data-dir", str(tmp_path / "data"))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "2 postings, 0 pictures, encoders sha256:fake" in result.stderr
    assert {file: file.read_bytes() for file in files} == before


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    """A flipped byte in a stored vector is one finding that names the posting, exit code 1."""
    fill(tmp_path).close()
    connection = apsw.Connection(str(tmp_path / "postings.sqlite"))
    connection.execute("UPDATE posting SET vectors = zeroblob(length(vectors)) WHERE posting_id = CAST('m2' AS BLOB)")
    connection.close()

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stdout.startswith("row: ")
    assert "m2" in result.stdout


def test_missing_rows_are_found(tmp_path: Path) -> None:
    """A directory put back from an older copy beside a newer high-water mark is a finding."""
    index = fill(tmp_path)
    index.close()
    shutil.copy(tmp_path / "postings.sqlite", tmp_path / "older")
    index = fill(tmp_path)
    index.delete("m1").result()
    index.close()
    (tmp_path / "older").replace(tmp_path / "postings.sqlite")

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 1
    assert result.stdout.startswith("rows-missing: ")


def test_a_database_that_is_none(tmp_path: Path) -> None:
    """A database that SQLite cannot open is a finding, not a traceback."""
    (tmp_path / "postings.sqlite").write_bytes(b"this is no database" * 100)

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "postings.sqlite" in result.stdout


def test_what_cannot_be_checked(tmp_path: Path) -> None:
    """A directory without an index, and one that is in use, cannot be checked: one line, exit code 3."""
    (tmp_path / "empty").mkdir()
    empty = run("--data-dir", str(tmp_path / "empty"))
    index = fill(tmp_path / "used")
    try:
        used = run("--data-dir", str(tmp_path / "used"))
    finally:
        index.close()

    assert empty.exit_code == used.exit_code == 3
    assert "holds no index" in empty.stderr
    assert "in use by process" in used.stderr


def test_a_damaged_bundle(tmp_path: Path) -> None:
    """A bundle without its checksums is one finding that names the file."""
    result = run("--bundle", str(tmp_path))

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert str(tmp_path / "SHA256SUMS") in result.stdout


@pytest.mark.usefixtures("_fake_bundle")
def test_bundle_and_directory_belong_together(tmp_path: Path) -> None:
    """Two sound halves that do not fit are one finding that names both encoders; two that fit are none."""
    fill(tmp_path / "same").close()
    fill(tmp_path / "other", "sha256:other").close()

    same = run("--data-dir", str(tmp_path / "same"), "--bundle", "any")
    other = run("--data-dir", str(tmp_path / "other"), "--bundle", "any")

    assert (same.exit_code, same.stdout) == (0, "")
    assert other.exit_code == 1
    assert "sha256:other" in other.stdout
    assert "sha256:fake" in other.stdout


@pytest.mark.usefixtures("_fake_bundle")
def test_json_is_one_object(tmp_path: Path) -> None:
    """With --json the counts and each finding's kind, place and detail are one object, exit codes as without."""
    fill(tmp_path / "data", "sha256:other").close()
    arguments = ["--data-dir", str(tmp_path / "data"), "--json"]

    sound, differing, broken = run(*arguments), run(*arguments, "--bundle", "any"), run("--bundle", "any", "--json")

    report = {"encoder_id": "sha256:other", "fingerprint": None, "postings": 2, "pictures": 0, "findings": []}
    assert (sound.exit_code, json.loads(sound.stdout)) == (0, report)
    finding = {
        "what": "encoders",
        "where": str(tmp_path / "data"),
        "detail": "holds vectors of sha256:other, any makes those of sha256:fake",
    }
    assert differing.exit_code == 1
    assert json.loads(differing.stdout) == report | {"fingerprint": "sha256:fingerprint", "findings": [finding]}
    bundle = {"encoder_id": "sha256:fake", "fingerprint": "sha256:fingerprint", "postings": None, "pictures": None}
    assert (broken.exit_code, json.loads(broken.stdout)) == (0, bundle | {"findings": []})


@pytest.mark.usefixtures("_fake_bundle")
def test_both_defaults_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the service's own defaults are checked."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data", "sha256:other").close()

    assert "bundles/demo makes those of sha256:fake" in run().stdout
