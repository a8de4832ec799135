"""The catalogue: writes that reuse what is known, and heal what was lost."""

import asyncio
import resource
import sqlite3
from collections.abc import Coroutine
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from index.errors import StorageFailed
from index.index import Index
from index.postings import ANY
from service.app import build_app
from service.bundle.bundle import Bundle
from service.jobs import Priority
from service.schemas import PutRequest
from service.settings import Settings
from tests.service.conftest import jpeg

PATH = "/v1/postings/a"


def put(client: TestClient, image: bytes, title: str = "mug"):
    return client.put(PATH, files={"image": ("a.jpg", image)}, data={"title": title})


def test_a_lost_picture_comes_back_with_its_posting(tmp_path: Path, bundle: Bundle) -> None:
    """When the file of pictures was lost, putting the same posting again stores its picture, and changes nothing."""
    app = build_app(Settings(data_dir=tmp_path), lambda *_: bundle)
    with TestClient(app) as client:
        revision = put(client, jpeg(1)).json()["revision"]
    for lost in tmp_path.glob("pictures.sqlite*"):
        lost.unlink()
    with TestClient(build_app(Settings(data_dir=tmp_path), lambda *_: bundle)) as client:
        assert client.get(f"{PATH}/image").status_code == 404
        answer = put(client, jpeg(1)).json()
        assert (answer["changed"], answer["revision"]) == (False, revision)
        assert client.get(f"{PATH}/image").status_code == 200


def test_a_damaged_posting_is_told_and_healed(tmp_path: Path, bundle: Bundle) -> None:
    """Rows H7, I3: a row that does not match its checksum is 503, never a wrong answer; putting it again heals it."""
    with TestClient(build_app(Settings(data_dir=tmp_path), lambda *_: bundle)) as client:
        put(client, jpeg(1))
    (database,) = (path for path in tmp_path.glob("*.sqlite") if path.name != "pictures.sqlite")
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE posting SET title = CAST('cup' AS BLOB)")
    connection.close()
    with TestClient(build_app(Settings(data_dir=tmp_path), lambda *_: bundle)) as client:
        answers = [client.get(PATH), client.patch(PATH, json={"title": "x"}), client.get(f"{PATH}/matches")]
        kinds = {(answer.status_code, answer.json()["type"]) for answer in answers}
        assert kinds == {(503, "urn:kembar:problem:storage-corrupt")}
        assert client.post("/v1/matches", json={"title": "mug", "threshold": -1}).json()["matches"] == []
        assert put(client, jpeg(1)).status_code == 200
        assert client.get(PATH).json()["title"] == "mug"


def test_a_full_disk_refuses_writes_alone(tmp_path: Path, bundle: Bundle) -> None:
    """Row H5: 507 for writes, 200 for reads and matches, degraded; with room again all is well, without a restart."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TestClient(build_app(Settings(data_dir=tmp_path), lambda *_: bundle)) as client:
        put(client, jpeg(1))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
            refused = put(client, jpeg(2))
            found = client.post("/v1/matches", json={"title": "mug"}).json()["matches"]
            ready = client.get("/readyz")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (refused.status_code, refused.json()["type"]) == (507, "urn:kembar:problem:insufficient-storage")
        assert [match["posting_id"] for match in found] == ["a"]
        assert (ready.status_code, ready.json()["status"]) == (503, "degraded")
        assert put(client, jpeg(2)).status_code == 200
        assert client.get("/readyz").json()["status"] == "ready"


def test_a_failed_disk_ends_the_service(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row H6: the write that met the failure is 503, no other is acknowledged, and the server is told to end."""
    app = build_app(Settings(data_dir=tmp_path), lambda *_: bundle)
    with TestClient(app) as client:

        def failing(*_: object) -> None:
            raise StorageFailed("the disk failed under a write")

        monkeypatch.setattr(Index, "put", failing)
        answer = put(client, jpeg(1))
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:kembar:problem:storage-failed")
        assert app.state.admission.storage_failed
        assert put(client, jpeg(2)).json()["type"] == "urn:kembar:problem:draining"


def test_writers_of_one_id_leave_one_whole_posting(tmp_path: Path, bundle: Bundle) -> None:
    """Row E8: puts and deletes of one id at once, from many: what is left is one of the puts, whole, or nothing."""
    app = build_app(Settings(data_dir=tmp_path, threads=2, max_queued_ms=60_000), lambda *_: bundle)
    images = [jpeg(number) for number in range(4)]

    async def play() -> None:
        async with app.router.lifespan_context(app) as state:
            services = state["services"]
            catalogue = services.catalogue

            def wanted(number: int) -> PutRequest:
                return PutRequest(image_base64=images[number], title=f"title {number}", metadata={"n": number})

            def writes(number: int) -> Coroutine[object, object, object]:
                if number % 5 == 4:
                    return catalogue.delete("a")
                return catalogue.put("a", wanted(number % 4), ANY, Priority.ADDITION)

            await asyncio.gather(*(writes(number) for number in range(200)))
            await catalogue.put("a", wanted(1), ANY, Priority.ADDITION)
            stored = await catalogue.get("a")
            assert (stored.title, stored.metadata) == ("title 1", {"n": 1})
            assert services.index.count() == 1
            expected = await services.encoder.vectors(images[1], "title 1", Priority.QUERY)
            found = services.index.search(expected, k=1, floors=lambda _: -1.0)
            assert (found[0].posting.posting_id, found[0].score) == ("a", 1.0)

    asyncio.run(play())
