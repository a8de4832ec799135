"""Comparing pairs, bare vectors, the model and its limits over HTTP."""

import base64

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.bundle.bundle import Bundle
from tests.service.conftest import jpeg
from tests.service.fake_bundle import THRESHOLDS

IMAGE = base64.b64encode(jpeg(1)).decode()


def put(client: TestClient, posting_id: str, **fields: str) -> None:
    client.put(f"/v1/postings/{posting_id}", files={name: (None, value) for name, value in fields.items()})


def slug(answer) -> str:
    return answer.json()["type"].removeprefix("urn:kembar:problem:")


def test_two_stored_postings(client: TestClient, bundle: Bundle) -> None:
    """The match object of b for a, as a search for a would show b; nothing is encoded."""
    put(client, "a", title="red mug")
    put(client, "b", title="red mug large", metadata='{"shop": "two"}')
    runs = len(bundle.title.batches)
    answer = client.post("/v1/compare", json={"a": {"posting_id": "a"}, "b": {"posting_id": "b"}}).json()
    assert len(bundle.title.batches) == runs
    (found,) = client.get("/v1/postings/a/matches?threshold=-1").json()["matches"]
    assert answer["match"] == found | {"threshold": THRESHOLDS["title"]["balanced"]}
    assert answer["verdicts"] == {
        goal: {"same_product": found["score"] >= score, "threshold": score, "goal_supported": goal != "recall_90"}
        for goal, score in THRESHOLDS["title"].items()
    }


def test_a_stored_and_an_inline_posting(client: TestClient) -> None:
    """An inline side has no id; the picture against itself scores 1."""
    client.put("/v1/postings/a", files={"image": ("a.jpg", jpeg(1))})
    answer = client.post("/v1/compare", json={"a": {"posting_id": "a"}, "b": {"image_base64": IMAGE, "title": "mug"}})
    match = answer.json()["match"]
    assert (match["posting_id"], match["title"], match["views"], match["image_score"]) == (None, "mug", ["image"], 1.0)


def test_nothing_shared(client: TestClient) -> None:
    """A picture and a title share no view: no match object, and no verdict in favour."""
    answer = client.post("/v1/compare", json={"a": {"image_base64": IMAGE}, "b": {"title": "mug"}}).json()
    assert answer["match"] is None
    assert {verdict["same_product"] for verdict in answer["verdicts"].values()} == {False}


BAD_PAIRS = {
    '{"a": {"title": "x"}}': "invalid-request",
    '{"a": {}, "b": {"title": "x"}}': "empty-posting",
    '{"a": {"posting_id": "a", "title": "x"}, "b": {"title": "x"}}': "invalid-request",
    '{"a": {"posting_id": "a/b"}, "b": {"title": "x"}}': "id-invalid",
    '{"a": {"posting_id": 1}, "b": {"title": "x"}}': "id-invalid",
    '{"a": {"title": " "}, "b": {"title": "x"}}': "title-empty",
    '{"a": {"name": "x"}, "b": {"title": "x"}}': "unknown-field",
}


@pytest.mark.parametrize(("body", "expected"), BAD_PAIRS.items())
def test_bad_pairs(client: TestClient, body: str, expected: str) -> None:
    """Each side is a stored posting or an inline one, not both, not neither."""
    answer = client.post("/v1/compare", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, slug(answer)) == (422, expected)


def test_comparing_with_nothing_stored(client: TestClient) -> None:
    """An id that is not there is 404."""
    answer = client.post("/v1/compare", json={"a": {"posting_id": "a"}, "b": {"title": "x"}})
    assert (answer.status_code, slug(answer)) == (404, "unknown-posting")


def test_embeddings_are_the_encoders(client: TestClient, bundle: Bundle) -> None:
    """One unit vector per view that was sent, the same from a form and from JSON."""
    by_json = client.post("/v1/embeddings", json={"title": "red mug", "image_base64": IMAGE}).json()
    by_form = client.post("/v1/embeddings", files={"image": ("a", jpeg(1))}, data={"title": "red mug"}).json()
    assert by_json["vectors"] == by_form["vectors"]
    np.testing.assert_array_equal(np.float32(by_json["vectors"]["title"]), bundle.title.encode(["red mug"])[0])
    assert np.linalg.norm(by_json["vectors"]["image"]) == pytest.approx(1, abs=1e-6)
    assert list(client.post("/v1/embeddings", json={"title": "mug"}).json()["vectors"]) == ["title"]


def test_the_model(client: TestClient, bundle: Bundle) -> None:
    """Everything that the decision is made with, as the bundle says it."""
    answer = client.get("/v1/model").json()
    manifest = bundle.manifest
    assert (answer["encoder_id"], answer["fingerprint"]) == (manifest.encoder_id, bundle.fingerprint)
    assert (answer["views"], answer["dimensions"]) == (["image", "title"], {"image": 192, "title": 64})
    assert answer["thresholds"]["image"]["balanced"] == {
        "score": 0.95,
        "low": 0.94,
        "high": 0.96,
        "groups": 40,
        "supported": True,
        "per_tenfold": 0.0,
    }
    assert answer["calibration"]["image"] == {"scores": [0.0, 0.5, 1.0], "probabilities": [0.0, 0.25, 1.0]}


def test_the_limits(client: TestClient) -> None:
    """The limits of API.md."""
    limits = client.get("/v1/limits").json()
    assert (limits["image_bytes"], limits["image_side_pixels"]) == (10 * 1024 * 1024, [16, 16_384])
    assert limits["image_pixels"] == {"baseline_jpeg": 64_000_000, "alpha_or_16_bit": 16_000_000, "other": 25_000_000}
    assert (limits["title_code_points"], limits["title_bytes"], limits["metadata_bytes"]) == (1_000, 4_000, 4_096)
    assert (limits["bulk_lines"], limits["bulk_bytes"], limits["bulk_line_bytes"]) == (1_000, 64 * 1024**2, 15_000_000)
    assert (limits["matches"], limits["excluded_ids"], limits["posting_id_bytes"]) == (50, 1_000, 128)


@pytest.mark.parametrize("path", ["/v1/model?x=1", "/v1/limits?x=1", "/v1/postings/a?x=1"])
def test_parameters_that_nobody_knows(client: TestClient, path: str) -> None:
    """A parameter that a call does not have is told, not ignored."""
    assert (client.get(path).status_code, slug(client.get(path))) == (422, "unknown-field")
