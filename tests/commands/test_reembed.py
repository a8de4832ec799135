"""`kembar reembed`: a stopped data directory moves to another bundle, or is measured against its own."""

import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import apsw
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from index.errors import EncoderMismatch, StorageFull
from index.index import Index
from index.postings import Draft
from index.reembed import Move
from index.verify import check_directory
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.picture import decode_picture, picture_tensor, stored_picture
from service.commands.main import main
from tests.bundle.tiny_bundle import write_tiny_bundle

PICTURES = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8) for seed in range(3)]
DIGESTS = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in PICTURES]
# Title and number of the picture.
SHOP: dict[str, tuple[str | None, int | None]] = {
    "both": ("word1 word2", 0),
    "title": ("word3", None),
    "picture": (None, 0),
    "other": (None, 1),
    "more": ("word4 word1", 2),
}


def png(pixels: np.ndarray) -> bytes:
    """As it was uploaded."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def vectors_of(bundle: Bundle, title: str | None, picture: bytes | None) -> dict[str, np.ndarray]:
    """One at a time, as serving would."""
    found = {}
    if picture is not None:
        spec = bundle.manifest.picture
        found["image"] = bundle.image.encode(picture_tensor(decode_picture(picture, spec.decode_side), spec)[None])[0]
    if title is not None:
        found["title"] = bundle.title.encode([title])[0]
    return found


def kept(pixels: np.ndarray) -> bytes:
    """As it is stored."""
    return stored_picture(Image.fromarray(pixels), 16)


def opened(path: Path, bundle: Bundle) -> Index:
    """Raises EncoderMismatch."""
    manifest = bundle.manifest
    weights = bundle.decision.weights
    return Index.open(path, encoder_id=manifest.encoder_id, dimensions=bundle.dimensions, weights=weights)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles with other encoders."""
    folder = tmp_path_factory.mktemp("bundles")
    return write_tiny_bundle(folder / "old", seed=1), write_tiny_bundle(folder / "new", seed=2)


@pytest.fixture
def shop(tmp_path: Path, bundles: tuple[Path, Path]) -> Path:
    """The data of a stopped service."""
    bundle = load_bundle(bundles[0], threads=1)
    with closing(opened(tmp_path / "shop", bundle)) as index:
        for posting_id, (title, number) in SHOP.items():
            pixels = None if number is None else PICTURES[number]
            vectors = vectors_of(bundle, title, None if pixels is None else png(pixels))
            digest = None if number is None else DIGESTS[number]
            picture = None if pixels is None else kept(pixels)
            index.put(Draft(posting_id, title, {"id": posting_id}, vectors, digest, picture)).result(10)
    return tmp_path / "shop"


def run(shop: Path, bundle: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["reembed", "--data-dir", str(shop), "--bundle", str(bundle), *more])


def holds(shop: Path, bundle: Path) -> dict[str, dict[str, np.ndarray]]:
    """The vectors of every posting."""
    with closing(opened(shop, load_bundle(bundle, threads=1))) as index:
        return {one.posting_id: dict(one.vectors) for one in index.scan(after=None, limit=1000)}


def assert_equal(found: dict[str, dict[str, np.ndarray]], wanted: dict[str, dict[str, np.ndarray]]) -> None:
    assert found.keys() == wanted.keys()
    for posting_id, vectors in wanted.items():
        assert found[posting_id].keys() == vectors.keys()
        for view, vector in vectors.items():
            np.testing.assert_allclose(found[posting_id][view].astype(float), vector, atol=5e-4)  # float16


def remade(bundle: Path, lost: int | None = None) -> dict[str, dict[str, np.ndarray]]:
    """What the encoders give of what is stored."""
    loaded = load_bundle(bundle, threads=1)
    pictures = {number: kept(pixels) for number, pixels in enumerate(PICTURES) if number != lost}
    every = {
        posting_id: vectors_of(loaded, title, None if number is None else pictures.get(number))
        for posting_id, (title, number) in SHOP.items()
    }
    return {posting_id: vectors for posting_id, vectors in every.items() if vectors}


def test_all_vectors_are_the_new_encoders(shop: Path, bundles: tuple[Path, Path]) -> None:
    """From the stored pictures and titles, posting by posting; the report counts them, for people and as JSON."""
    result = run(shop, bundles[1], "--json")

    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report.pop("seconds") < 30
    assert report == {
        "encoder_id": load_bundle(bundles[1], threads=1).manifest.encoder_id,
        "postings": 5,
        "re_embedded": 5,
        "without_picture": 0,
        "left_out": 0,
        "nearness": None,
    }
    assert_equal(holds(shop, bundles[1]), remade(bundles[1]))
    assert check_directory(shop).findings == ()
    back = run(shop, bundles[0])
    assert back.stdout.startswith("5 postings have vectors of sha256:")
    assert_equal(holds(shop, bundles[0]), remade(bundles[0]))


def test_the_same_encoders_are_measured(shop: Path, bundles: tuple[Path, Path]) -> None:
    """How near vectors of stored pictures come to those of the originals; the directory stays as it is."""
    stored, again = holds(shop, bundles[0]), remade(bundles[0])
    before = {path: path.read_bytes() for path in shop.glob("*.sqlite")}

    result = run(shop, bundles[0], "--json")

    nearness = json.loads(result.stdout)["nearness"]
    for view in ("image", "title"):
        cosines = sorted(
            float(a / np.linalg.norm(a) @ b / np.linalg.norm(b))
            for a, b in ((stored[one][view].astype(float), again[one][view]) for one in again if view in again[one])
        )
        assert nearness[view]["postings"] == len(cosines)
        found = [nearness[view][name] for name in ("least", "one_percent", "median")]
        assert found == pytest.approx([cosines[0], np.percentile(cosines, 1), np.median(cosines)], abs=1e-4)
    assert nearness["image"]["least"] < 0.9999  # JPEG and 16 pixels do show
    assert {path: path.read_bytes() for path in shop.glob("*.sqlite")} == before
    assert f"title         3  {nearness['title']['least']:.4f}" in run(shop, bundles[0]).stdout


def test_what_cannot_be_moved_is_named_before_anything_is_done(
    shop: Path, tmp_path: Path, bundles: tuple[Path, Path]
) -> None:
    """A lost picture costs a view, or the posting where that was all it had: only with --leave-out, which names it."""
    with closing(apsw.Connection(str(shop / "pictures.sqlite"))) as connection:
        connection.execute("DELETE FROM picture WHERE image_digest = ?", (bytes.fromhex(DIGESTS[0]),))

    refused = run(shop, bundles[1])

    assert refused.exit_code == 3
    assert "1 of 5 postings cannot be moved (no title and no stored picture: 1)" in refused.stderr
    assert "--leave-out" in refused.stderr
    assert holds(shop, bundles[0]).keys() == SHOP.keys()
    done = run(shop, bundles[1], "--leave-out", str(tmp_path / "gone.ndjson"), "--json")
    report = json.loads(done.stdout)
    assert [report[name] for name in ("postings", "re_embedded", "without_picture", "left_out")] == [4, 4, 1, 1]
    lines = (tmp_path / "gone.ndjson").read_text().splitlines()
    assert [json.loads(line)["posting_id"] for line in lines] == ["picture"]
    assert_equal(holds(shop, bundles[1]), remade(bundles[1], lost=0))


def test_what_cannot_begin(shop: Path, tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    """A running service, no index, no bundle: one line that says so, and nothing is changed."""
    with closing(opened(shop, load_bundle(bundles[0], threads=1))):
        served = run(shop, bundles[1])
    results = [served, run(tmp_path, bundles[1]), run(shop, tmp_path)]

    assert [result.exit_code for result in results] == [3, 3, 3]
    for result, text in zip(results, ("in use by process", "holds no index", "SHA256SUMS"), strict=True):
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert CliRunner().invoke(main, ["reembed"]).exit_code == 2
    assert holds(shop, bundles[0]).keys() == SHOP.keys()


def test_a_full_disk_is_said_in_one_line(
    shop: Path, bundles: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to do, and the same command goes on once there is room."""

    def full(move: Move, encoded: object) -> None:
        raise StorageFull("postings.sqlite: no room on the disk; free some, then try again")

    with monkeypatch.context() as patched:
        patched.setattr(Move, "add", full)
        result = run(shop, bundles[1])

    assert result.exit_code == 3
    assert "no room on the disk" in result.stderr
    assert "the same command goes on" in result.stderr
    assert holds(shop, bundles[0]).keys() == SHOP.keys()
    assert run(shop, bundles[1]).exit_code == 0


def serves(shop: Path, bundles: tuple[Path, Path]) -> int:
    """Which of the two bundles opens it, with every posting there; it has to be one."""
    for place, bundle in enumerate(bundles):
        try:
            assert len(holds(shop, bundle)) == 600
        except EncoderMismatch:
            continue
        return place
    raise AssertionError("neither opens it")


def test_killed_at_any_moment_it_goes_on(tmp_path: Path, bundles: tuple[Path, Path]) -> None:
    """SIGKILL leaves an index of one of the two, whole; SIGTERM says how to go on; the last run comes to the end."""
    shop, bundle = tmp_path / "shop", load_bundle(bundles[0], threads=1)
    with closing(opened(shop, bundle)) as index:
        titles = {f"p{number}": f"word{number % 50} word{number % 7}" for number in range(600)}
        futures = [index.put(Draft(one, title, {}, vectors_of(bundle, title, None))) for one, title in titles.items()]
        for future in futures:
            future.result(10)
    command = [sys.executable, "-m", "tests.commands.slow_reembed", str(shop), str(bundles[1])]
    draws = random.Random(5)
    made = shop / "reembed" / "postings.sqlite"
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        before = made.stat().st_size if made.exists() else 4_096  # of an empty one
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while not made.exists() or made.stat().st_size <= before:
                time.sleep(0.01)
            time.sleep(draws.uniform(0, 0.3))
            process.send_signal(number)
            _, said = process.communicate(timeout=20)
        assert process.returncode in (-number, 143)
        assert serves(shop, bundles) == 0
    assert said.startswith("Stopped. What was encoded is kept")

    result = run(shop, bundles[1], "--json")

    assert 0 < json.loads(result.stdout)["re_embedded"] < 600
    assert serves(shop, bundles) == 1
    loaded = load_bundle(bundles[1], threads=1)
    assert_equal(holds(shop, bundles[1]), {one: vectors_of(loaded, title, None) for one, title in titles.items()})
