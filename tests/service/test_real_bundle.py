"""The service on the bundle that the repository ships: real encoders, real pictures."""

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.app import create_app
from service.bundle.bundle import load_bundle
from service.bundle.errors import DamagedBundle
from service.bundle.golden import read_golden
from service.bundle.picture import decode_picture, picture_tensor
from service.settings import Settings
from tests.bundle.picture_bytes import encode, photo
from tests.service.conftest import jpeg

DEMO = Path(__file__).parents[2] / "bundles" / "demo"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The service as `kembar serve` builds it."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), bundle=DEMO, max_queued_ms=60_000)
    with TestClient(create_app(settings)) as found:
        yield found


def vectors(client: TestClient, image: bytes, title: str) -> dict[str, np.ndarray]:
    answer = client.post("/v1/embeddings", files={"image": ("a", image)}, data={"title": title})
    return {view: np.array(vector) for view, vector in answer.json()["vectors"].items()}


def compare(client: TestClient, one: bytes, other: bytes) -> float:
    asked = {name: {"image_base64": _base64(data)} for name, data in (("a", one), ("b", other))}
    return float(client.post("/v1/compare", json=asked).json()["match"]["image_score"])


def test_equal_bytes_match_exactly(client: TestClient) -> None:
    """What was added scores 1 in both views when it is asked for, and is found first with everything else there."""
    for number in range(6):
        files = {"image": ("a.jpg", jpeg(number, side=400))}
        client.put(f"/v1/postings/p{number}", files=files, data={"title": f"Product number {number}"})
    files = {"image": ("a.jpg", jpeg(3, side=400))}
    found = client.post("/v1/matches", files=files, data={"title": "Product number 3"}).json()["matches"]
    assert (found[0]["posting_id"], found[0]["image_score"], found[0]["title_score"]) == ("p3", 1.0, 1.0)
    stored = client.get("/v1/postings/p3/matches?threshold=-1").json()["matches"]
    assert {match["posting_id"] for match in stored} == {"p0", "p1", "p2", "p4", "p5"}


def test_equal_bytes_give_equal_vectors_on_however_many_cores() -> None:
    """A picture encoded on one thread, on two, and in a batch, has the same vector to the bit."""
    bundle = load_bundle(DEMO, threads=2)
    spec = bundle.manifest.picture
    pictures = [decode_picture(jpeg(number, side=400), spec.decode_side) for number in range(3)]
    tensors = np.stack([picture_tensor(picture, spec) for picture in pictures])
    alone = np.concatenate([bundle.image.encode(tensor[None]) for tensor in tensors])
    wide = np.concatenate([bundle.image.encode_wide(tensor[None]) for tensor in tensors])
    assert bundle.image.wide_threads == 2
    np.testing.assert_array_equal(wide, alone)


def test_a_resized_and_recompressed_picture_is_nearly_the_same(client: TestClient) -> None:
    """A seller's copy of a small drawn picture scores above .75 against it, and against the others below .65."""
    pictures = [(DEMO / "golden" / example.picture).read_bytes() for example in read_golden(DEMO)]
    for number, original in enumerate(pictures):
        large = Image.open(io.BytesIO(original))
        copy = encode(large.resize((large.width * 7 // 10, large.height * 7 // 10)), "JPEG", quality=60)
        scores = [compare(client, other, copy) for other in pictures]
        assert scores[number] > 0.75
        assert sorted(scores)[-2] < 0.65


def test_batches_change_nothing(client: TestClient) -> None:
    """Vectors made beside many others are those made alone."""
    asked = [(jpeg(number, side=300), f"Mug number {number}, " * (1 + number % 4)) for number in range(24)]
    alone = [vectors(client, *one) for one in asked]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda one: vectors(client, *one), asked))
    for one, other in zip(alone, together, strict=True):
        cosines = {view: float(one[view] @ other[view]) for view in one}
        assert cosines == pytest.approx({"image": 1, "title": 1, "lexical": 1}, abs=1e-5)


def test_the_stored_picture_is_of_use(client: TestClient) -> None:
    """The picture kept for the page has its longest side at 512 pixels, or less where less was sent."""
    client.put("/v1/postings/large", files={"image": ("a.jpg", encode(photo(1600, 1200), "JPEG"))})
    kept = Image.open(io.BytesIO(client.get("/v1/postings/large/image").content))
    assert max(kept.size) <= 512
    assert kept.size[0] > kept.size[1]


def test_a_missing_bundle_is_told_at_the_start(tmp_path: Path) -> None:
    """What the bundle finds wrong is raised by the lifespan, with the path in it, before any data are touched."""
    settings = Settings(data_dir=tmp_path / "data", bundle=tmp_path / "none")
    with pytest.raises(DamagedBundle, match="none"), TestClient(create_app(settings)):
        pass
    assert not (tmp_path / "data").exists()


def _base64(data: bytes) -> str:

    return base64.b64encode(data).decode()
