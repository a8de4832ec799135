"""Postings over HTTP: what is put is there, whole, under the conditions that the caller named."""

import hashlib
import io
import json
from datetime import datetime

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.bundle.bundle import Bundle
from tests.service.conftest import StartApp, jpeg

PATH = "/v1/postings/MH01"
JSON = {"content-type": "application/json"}


def put(client: TestClient, path: str = PATH, image: bytes | None = None, **fields: str):
    files = {"image": ("a.jpg", image)} if image is not None else {name: (None, text) for name, text in fields.items()}
    return client.put(path, files=files, data=fields if image is not None else None)


def slug(response) -> str:
    return str(response.json()["type"]).removeprefix("urn:kembar:problem:")


def test_a_posting_comes_back_as_it_was_put(client: TestClient) -> None:
    """Title, metadata, digest of the picture as sent, views, revision and times, with the revision as ETag."""
    image = jpeg(1)
    created = put(client, image=image, title="Red  mug\t", metadata='{"shop": "one", "price": 1.5}')
    assert (created.status_code, created.json()["created"], created.json()["changed"]) == (201, True, True)
    answer = client.get(PATH)
    stored = answer.json()
    times = [datetime.fromisoformat(stored.pop(name)) for name in ("created_at", "updated_at")]
    assert stored == {
        "posting_id": "MH01",
        "title": "Red  mug\t",
        "metadata": {"shop": "one", "price": 1.5},
        "views": ["image", "title"],
        "revision": created.json()["revision"],
        "image_sha256": hashlib.sha256(image).hexdigest(),
        "vectors": None,
    }
    assert all(time.tzinfo is not None for time in times)
    assert answer.headers["etag"] == created.headers["etag"] == f'"{stored["revision"]}"'


def test_unchanged_content_costs_no_encoding(client: TestClient, bundle: Bundle) -> None:
    """The same put again answers 200 with the same revision, and no encoder runs (E4)."""
    first = put(client, image=jpeg(1), title="mug", metadata='{"a": 1}')
    runs = len(bundle.image.batches), len(bundle.title.batches)
    again = put(client, image=jpeg(1), title="mug", metadata='{"a": 1}')
    assert (again.status_code, again.json()) == (200, first.json() | {"created": False, "changed": False})
    assert (len(bundle.image.batches), len(bundle.title.batches)) == runs


@pytest.mark.parametrize(
    ("change", "image_runs", "title_runs"),
    [
        ({"title": "cup"}, 0, 1),
        ({"metadata": '{"a": 2}'}, 0, 0),
        ({"metadata": '{"a": true}'}, 0, 0),
        ({"image": jpeg(2)}, 1, 0),
    ],
    ids=["title", "metadata", "true is not 1", "picture"],
)
def test_only_what_changed_is_encoded(
    client: TestClient, bundle: Bundle, change: dict[str, object], image_runs: int, title_runs: int
) -> None:
    """A replaced posting keeps the vectors of what stayed, and is what it was told to be (E5)."""
    fields = {"image": jpeg(1), "title": "mug", "metadata": '{"a": 1}'}
    put(client, **fields)
    before = len(bundle.image.batches), len(bundle.title.batches)
    answer = put(client, **(fields | change))
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    assert (len(bundle.image.batches), len(bundle.title.batches)) == (before[0] + image_runs, before[1] + title_runs)
    assert client.get(f"{PATH}/image").status_code == 200
    stored = client.get(PATH).json()
    expected = fields | change
    assert stored["title"] == expected["title"]
    assert json.dumps(stored["metadata"]) == expected["metadata"]
    assert stored["image_sha256"] == hashlib.sha256(expected["image"]).hexdigest()


def test_a_put_replaces_the_whole(client: TestClient) -> None:
    """What a later put leaves out is gone: the picture, its view, and the stored file of it."""
    put(client, image=jpeg(1), title="mug", metadata='{"a": 1}')
    put(client, title="mug")
    stored = client.get(PATH).json()
    assert (stored["views"], stored["metadata"], stored["image_sha256"]) == (["title"], {}, None)
    assert client.get(f"{PATH}/image").status_code == 404


def test_a_patch_changes_what_it_names(client: TestClient, bundle: Bundle) -> None:
    """Metadata are replaced as a whole without encoding; a new title is encoded, the picture is not."""
    put(client, image=jpeg(1), title="mug", metadata='{"a": 1, "b": 2}')
    runs = len(bundle.image.batches), len(bundle.title.batches)
    answer = client.patch(PATH, json={"metadata": {"c": 3}})
    assert (answer.status_code, answer.json()["changed"]) == (200, True)
    assert (len(bundle.image.batches), len(bundle.title.batches)) == runs
    client.patch(PATH, json={"title": "cup"})
    assert (len(bundle.image.batches), len(bundle.title.batches)) == (runs[0], runs[1] + 1)
    stored = client.get(PATH).json()
    assert (stored["title"], stored["metadata"], stored["views"]) == ("cup", {"c": 3}, ["image", "title"])


def test_a_patch_may_give_a_title_to_a_picture(client: TestClient) -> None:
    """A posting that had a picture alone has both views after its title is patched in."""
    put(client, image=jpeg(1))
    assert client.patch(PATH, json={"title": "cup"}).json()["views"] == ["image", "title"]


@pytest.mark.parametrize("body", ["{}", '{"title": null}', '{"metadata": null}', '{"picture": 1}', "null", "[]", '"a"'])
def test_a_patch_of_nothing_is_refused(client: TestClient, body: str) -> None:
    """Null does not mean "remove", and a patch must change something (D5)."""
    put(client, title="mug")
    assert client.patch(PATH, content=body, headers=JSON).status_code == 422


def test_deleting_is_idempotent(client: TestClient) -> None:
    """204 also when absent; what is deleted is not there, not listed, not found (E6)."""
    put(client, title="mug")
    assert [client.delete(PATH).status_code for _ in range(2)] == [204, 204]
    assert slug(client.get(PATH)) == "unknown-posting"
    assert client.get("/v1/postings").json()["postings"] == []
    assert client.post("/v1/matches", json={"title": "mug", "threshold": -1}).json()["matches"] == []


def test_conditions_are_kept(client: TestClient) -> None:
    """If-Match and If-None-Match: * decide over put, patch and delete; 412 changes nothing."""
    revision = put(client, title="mug").headers["etag"]
    for headers in (
        {"if-match": '"999"'},
        {"if-match": '"nonsense"'},
        {"if-match": f"W/{revision}"},
        {"if-none-match": "*"},
    ):
        answers = [
            client.put(PATH, files={"title": (None, "cup")}, headers=headers),
            client.patch(PATH, json={"title": "cup"}, headers=headers),
            client.delete(PATH, headers=headers),
        ]
        assert [(answer.status_code, slug(answer)) for answer in answers] == [(412, "revision-mismatch")] * 3
    assert client.get(PATH).json()["title"] == "mug"
    put_answer = client.put(PATH, files={"title": (None, "cup")}, headers={"if-match": f'"7", {revision}'})
    assert put_answer.status_code == 200
    assert client.delete(PATH, headers={"if-match": revision}).status_code == 412
    assert client.delete(PATH, headers={"if-match": "*"}).status_code == 204


def test_conditions_on_an_absent_posting(client: TestClient) -> None:
    """If-Match cannot hold where nothing is; If-None-Match: * can, once."""
    for headers in ({"if-match": "*"}, {"if-match": '"1"'}):
        assert client.put(PATH, files={"title": (None, "cup")}, headers=headers).status_code == 412
        assert client.patch(PATH, json={"title": "cup"}, headers=headers).status_code == 412
        assert client.delete(PATH, headers=headers).status_code == 412
    create = {"if-none-match": "*"}
    assert [client.put(PATH, files={"title": (None, "a")}, headers=create).status_code for _ in range(2)] == [201, 412]


@pytest.mark.parametrize(
    "headers",
    [{"if-match": "1"}, {"if-match": '"a'}, {"if-match": ""}, {"if-none-match": '"1"'}, {"if-none-match": ""}],
)
def test_conditions_that_make_no_sense_are_malformed(client: TestClient, headers: dict[str, str]) -> None:
    """A tag without quotes, and If-None-Match with a tag on a write, get 400."""
    answer = client.delete(PATH, headers=headers)
    assert (answer.status_code, slug(answer)) == (400, "malformed-header")


def test_the_stored_picture(client: TestClient) -> None:
    """A JPEG without metadata, at most 512 pixels, thumbnail 256; 304 for whoever has it already."""
    put(client, image=jpeg(1, side=900))
    answer = client.get(f"{PATH}/image")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (512, 512)
    small = client.get(f"{PATH}/image", params={"size": "thumbnail"})
    assert Image.open(io.BytesIO(small.content)).size == (256, 256)
    again = client.get(f"{PATH}/image", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{PATH}/image", headers={"if-none-match": small.headers["etag"]}).status_code == 200


def test_no_picture_is_kept_where_the_setting_says_so(start_app: StartApp) -> None:
    """With `stored_picture_side=0` pictures are encoded, not kept, and unchanged ones cost nothing still."""
    client = start_app(stored_picture_side=0)
    put(client, image=jpeg(1), title="mug")
    assert slug(client.get(f"{PATH}/image")) == "picture-not-kept"
    assert put(client, image=jpeg(1), title="mug").json()["changed"] is False


def test_listing_goes_through_all_in_order_of_bytes(client: TestClient) -> None:
    """Pages by cursor, in order of id bytes, each posting once; the last page has no cursor."""
    ids = ["b", "a", "A", "é", "z", "e\u0301", "10", "9", "🫖", "\uffee"]
    for posting_id in ids:
        put(client, f"/v1/postings/{posting_id}", title="mug")
    seen, cursor = [], None
    while True:
        page = client.get("/v1/postings", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [posting["posting_id"] for posting in page["postings"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(ids, key=str.encode)


def test_a_listing_that_fits_has_no_further_page(client: TestClient) -> None:
    """Exactly `limit` postings are one page without a cursor."""
    for posting_id in "ab":
        put(client, f"/v1/postings/{posting_id}", title="mug")
    assert client.get("/v1/postings?limit=2").json()["next_cursor"] is None
    assert client.get("/v1/postings?limit=1").json()["next_cursor"] is not None


def test_listing_by_metadata(client: TestClient) -> None:
    """A filter keeps what is equal, and true is not 1."""
    for posting_id, metadata in (("a", '{"x": 1}'), ("b", '{"x": true}'), ("c", '{"x": "1"}'), ("d", "{}")):
        put(client, f"/v1/postings/{posting_id}", title="mug", metadata=metadata)
    found = client.get("/v1/postings", params={"filter": '{"x": 1}'}).json()["postings"]
    assert [posting["posting_id"] for posting in found] == ["a"]


def test_a_listing_with_vectors(client: TestClient) -> None:
    """With `vectors=true` each posting has its views' vectors, in float32 exactly the half precision of the index."""
    for number in range(104):
        put(
            client,
            f"/v1/postings/{number:03}",
            title=f"mug number {number}",
            image=jpeg(number) if number % 2 else None,
        )
    put(client, "/v1/postings/t", title="mug")
    index = client.app_state["services"].index

    first = client.get("/v1/postings?vectors=true&limit=1000").json()
    rest = client.get("/v1/postings", params={"vectors": "true", "cursor": first["next_cursor"]}).json()
    bare = client.get("/v1/postings?vectors=false").json()

    listed = {one["posting_id"]: one["vectors"] for one in first["postings"] + rest["postings"]}
    stored = {posting.posting_id: posting.vectors for posting in index.scan(after=None, limit=1000)}
    assert len(first["postings"]) == 100  # a page with vectors is short, whatever was asked
    assert {name: list(views) for name, views in listed.items()} == {
        name: ["image", "title"] if len(views) == 2 else ["title"] for name, views in stored.items()
    }
    for name, views in stored.items():
        for view, vector in views.items():
            assert (np.array(listed[name][view], np.float32) == vector.astype(np.float32)).all()
            assert np.array(listed[name][view], np.float16).tobytes() == vector.tobytes()
    assert {one["vectors"] for one in bare["postings"]} == {None}


ODD_QUERIES = {
    "limit=0": 422,
    "limit=1001": 422,
    "limit=x": 422,
    "limit=": 422,
    "limit=1.0": 422,
    "limit=1&limit=2": 422,
    "page=2": 422,
    "cursor=!": 422,
    "filter={": 400,
    "filter=[]": 422,
    'filter={"a":[]}': 422,
    "vectors=1": 422,
}


@pytest.mark.parametrize(("query", "status"), ODD_QUERIES.items())
def test_odd_queries_are_refused(client: TestClient, query: str, status: int) -> None:
    """Parameters are as strict as bodies: unknown, doubled and out of range ones are told."""
    assert client.get(f"/v1/postings?{query}").status_code == status


@pytest.mark.parametrize("spelling", ["%ff", "a%00b", "a%0Ab", "%2E%2E", "%20a", "a%20", "a" * 129, "%C2%85"])
def test_unusable_ids_in_a_path(client: TestClient, spelling: str) -> None:
    """Row E1 over HTTP: 422 id-invalid for every call that names a posting."""
    calls = [("GET", ""), ("DELETE", ""), ("GET", "/matches"), ("GET", "/image")]
    answers = [client.request(method, f"/v1/postings/{spelling}{rest}") for method, rest in calls]
    answers.append(put(client, f"/v1/postings/{spelling}", title="mug"))
    answers.append(client.patch(f"/v1/postings/{spelling}", json={"title": "mug"}))
    assert [(answer.status_code, slug(answer)) for answer in answers] == [(422, "id-invalid")] * 6


@pytest.mark.parametrize("path", ["conf%2Fslash", "a//b", "", "..%2f..%2fetc", "a/b"])
def test_slashes_in_an_id_lead_nowhere(client: TestClient, path: str) -> None:
    """An encoded slash makes another path, which is not there: 404, never 500."""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert client.request(method, f"/v1/postings/{path}").status_code in (404, 405)


def test_ids_are_told_apart_by_bytes(client: TestClient) -> None:
    """NFC and NFD spellings, and "1" and "01", are different postings (E2, E3)."""
    for posting_id in ("é", "e\u0301", "1", "01"):
        assert put(client, f"/v1/postings/{posting_id}", title=f"title {posting_id}").status_code == 201
    assert client.get("/v1/postings/01").json()["title"] == "title 01"
