"""What bad input gets over HTTP: rows A, B, D and E of the reliability table, each with its problem document."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.problems import PROBLEMS
from service.settings import Settings
from tests.bundle.odd_pictures import OddPicture, accepted_pictures, refused_pictures
from tests.service.conftest import jpeg
from tests.service.fake_bundle import fake_bundle
from tests.service.forms import FORM, Part, form

JSON = {"content-type": "application/json"}
MATCHES = "/v1/matches"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all that is refused: nothing here changes it."""
    settings = Settings(data_dir=Path(tmp_path_factory.mktemp("data")), threads=2)
    with TestClient(build_app(settings, lambda *_: fake_bundle()), raise_server_exceptions=False) as client:
        yield client


def refusal(answer) -> tuple[int, str]:
    """Status and slug of a problem document, after a look at its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return answer.status_code, problem["type"].removeprefix("urn:kembar:problem:")


@pytest.mark.parametrize("odd", refused_pictures(), ids=str)
def test_a_bad_picture_gets_its_status(service: TestClient, odd: OddPicture) -> None:
    """Rows A1 to A23: refused with the status of its error, alone and beside a title."""
    answer = service.post(MATCHES, files={"image": ("a.jpg", odd.build(), "image/jpeg")}, data={"title": "mug"})
    assert refusal(answer) in {(PROBLEMS[kind].status, PROBLEMS[kind].slug) for kind in odd.refusals}


@pytest.mark.parametrize("odd", accepted_pictures(), ids=str)
def test_an_odd_but_sound_picture_is_matched(service: TestClient, odd: OddPicture) -> None:
    """Rows A12 to A27: what can be decoded is answered, whatever type was declared (A25)."""
    answer = service.post(MATCHES, files={"image": ("a.bin", odd.build(), "application/x-nonsense")})
    assert answer.status_code == 200, answer.text


BAD_TITLES = {
    "": "title-empty",  # B1
    "  \t ": "title-empty",
    "\u200b\u200d": "title-empty",
    "a" * 1_001: "title-too-long",  # B2
    "🫖" * 1_001: "title-too-long",
    "\ud800": "title-invalid-unicode",  # B5
    "a\x00b": "title-control-character",  # B6
    "a\x1bb": "title-control-character",
    "a\x85b": "title-control-character",
}


@pytest.mark.parametrize(("title", "slug"), BAD_TITLES.items(), ids=lambda value: repr(value)[:20])
def test_a_bad_title_gets_its_status(service: TestClient, title: str, slug: str) -> None:
    """Rows B1 to B6, in JSON and, where it can be written there, in a form: 422 with the title's own problem."""
    assert refusal(service.post(MATCHES, content=json.dumps({"title": title}), headers=JSON)) == (422, slug)
    if "\ud800" not in title:
        body = form([Part("title", title.encode())])
        assert refusal(service.post(MATCHES, content=body, headers={"content-type": FORM})) == (422, slug)


GOOD_TITLES = [
    "e" + "\u0301" * 900,  # B3
    "\ufdfa" * 1_000,  # B4
    "a\tb\r\nc",  # B6
    "\u202e\u2066abc\U000e0041\ue000\ufdd0",  # B8
    "a" * 1_000,  # B9
    "!" * 1_000,
    "👩\u200d👩\u200d👧" * 100,
    "'; DROP TABLE posting; -- {{7*7}} <script>%s",  # B10
    "[CLS] [SEP] <s>",  # B11
]


@pytest.mark.parametrize("title", GOOD_TITLES, ids=lambda title: repr(title)[:20])
def test_an_odd_title_is_taken_and_stored_as_sent(service: TestClient, title: str) -> None:
    """Rows B3 to B11: accepted, and given back to the letter."""
    body = form([Part("title", title.encode())])
    answer = service.put("/v1/postings/odd-title", content=body, headers={"content-type": FORM})
    assert answer.status_code in (200, 201), answer.text
    assert service.get("/v1/postings/odd-title").json()["title"] == title


B64 = base64.b64encode(jpeg(1)).decode()
BAD_JSON = {
    "": (400, "malformed-json"),  # D1
    '{"title":': (400, "malformed-json"),
    '{"threshold": NaN, "title": "a"}': (400, "malformed-json"),  # D2
    '{"title": "a", "title": "b"}': (400, "malformed-json"),  # D4
    "null": (422, "invalid-request"),  # D5
    "[]": (422, "invalid-request"),
    '"title"': (422, "invalid-request"),
    '{"title": 5}': (422, "invalid-request"),
    '{"title": "a", "colour": "red"}': (422, "unknown-field"),
    '{"image_url": "http://127.0.0.1/"}': (422, "unknown-field"),  # F13
    "{}": (422, "empty-posting"),
    '{"title": null}': (422, "empty-posting"),
    '{"title": "a", "limit": 0}': (422, "invalid-request"),  # D10
    '{"title": "a", "limit": -1}': (422, "invalid-request"),
    '{"title": "a", "limit": 51}': (422, "invalid-request"),
    '{"title": "a", "limit": 1000000000}': (422, "invalid-request"),
    '{"title": "a", "limit": 1.5}': (422, "invalid-request"),
    '{"title": "a", "limit": "5"}': (422, "invalid-request"),
    '{"title": "a", "limit": true}': (422, "invalid-request"),
    '{"title": "a", "threshold": 1.01}': (422, "invalid-request"),
    '{"title": "a", "threshold": "0.5"}': (422, "invalid-request"),
    '{"title": "a", "goal": "best"}': (422, "invalid-request"),
    '{"title": "a", "filter": {"a": {"b": 1}}}': (422, "invalid-request"),
    '{"title": "a", "filter": {"a": "\\ud800"}}': (422, "invalid-request"),
    '{"title": "a", "exclude": "b"}': (422, "invalid-request"),
    '{"title": "a", "exclude": [1]}': (422, "id-invalid"),  # E3
    '{"title": "a", "exclude": ["\\ud800"]}': (422, "id-invalid"),
    json.dumps({"title": "a", "exclude": ["b"] * 1_001}): (422, "invalid-request"),
    '{"image_base64": "not base64!"}': (422, "invalid-request"),
    '{"image_base64": "AAA"}': (422, "invalid-request"),
    '{"image_base64": ""}': (422, "image-empty"),
    '{"image_base64": 5}': (422, "invalid-request"),
    '{"image_base64": "data:image/png;base64,AAAA"}': (422, "invalid-request"),
}


@pytest.mark.parametrize(("body", "expected"), BAD_JSON.items(), ids=lambda value: str(value)[:40])
def test_bad_json_gets_its_status(service: TestClient, body: str, expected: tuple[int, str]) -> None:
    """Rows D1 to D10 of a match call."""
    assert refusal(service.post(MATCHES, content=body, headers=JSON)) == expected


def test_findings_point_at_the_fields_and_repeat_nothing(service: TestClient) -> None:
    """Each fault has a JSON pointer; neither values nor long made-up names come back."""
    secret = "hunter2" * 20
    body = {"title": "a", "limit": secret, "exclude": secret, "filter": {"a": [secret]}, secret: 1}
    answer = service.post(MATCHES, content=json.dumps(body), headers=JSON)
    assert {finding["pointer"] for finding in answer.json()["errors"]} == {"/limit", "/exclude", "/filter", ""}
    assert "hunter2" not in answer.text


BAD_FORMS = {
    "limit=x": {"title": "a", "limit": "x"},
    "limit=0": {"title": "a", "limit": "0"},
    "limit=51": {"title": "a", "limit": "51"},
    "limit=1.5": {"title": "a", "limit": "1.5"},
    "limit=1e1": {"title": "a", "limit": "1e1"},
    "limit= 5": {"title": "a", "limit": " 5"},
    "limit=５": {"title": "a", "limit": "５"},
    "limit empty": {"title": "a", "limit": ""},
    "threshold=nan": {"title": "a", "threshold": "nan"},
    "threshold=inf": {"title": "a", "threshold": "inf"},
    "threshold=1e999": {"title": "a", "threshold": "1e999"},
    "threshold=2": {"title": "a", "threshold": "2"},
    "goal": {"title": "a", "goal": "Balanced"},
    "filter list": {"title": "a", "filter": "[]"},
    "exclude object": {"title": "a", "exclude": "{}"},
}


@pytest.mark.parametrize("fields", BAD_FORMS.values(), ids=BAD_FORMS)
def test_bad_form_values_get_422(service: TestClient, fields: dict[str, str]) -> None:
    """Numbers in forms are JSON numbers, everything else is refused as in JSON (D10)."""
    body = form([Part(name, value.encode()) for name, value in fields.items()])
    assert refusal(service.post(MATCHES, content=body, headers={"content-type": FORM})) == (422, "invalid-request")


def test_forms_take_what_json_takes(service: TestClient) -> None:
    """Each field of a match call has one meaning, in a form and in JSON."""
    fields = {"limit": "5", "threshold": "-1e0", "goal": "recall_90", "filter": '{"a": 1}', "exclude": '["b"]'}
    by_form = service.post(MATCHES, files={"title": (None, "mug"), **{k: (None, v) for k, v in fields.items()}})
    body = {"title": "mug", "limit": 5, "threshold": -1, "goal": "recall_90", "filter": {"a": 1}, "exclude": ["b"]}
    by_json = service.post(MATCHES, json=body)
    assert by_form.status_code == by_json.status_code == 200
    assert by_form.json() | {"took_ms": 0} == by_json.json() | {"took_ms": 0}


@pytest.mark.parametrize(
    ("kind", "status", "slug"),
    [
        ("text/plain", 415, "unsupported-media-type"),  # C18
        ("", 415, "unsupported-media-type"),
        ("application/x-www-form-urlencoded", 415, "unsupported-media-type"),  # C35
        ("application/json; charset=utf-8", 200, ""),
        ("Application/JSON", 200, ""),
        ("multipart/form-data", 400, "malformed-multipart"),  # C25
        ("multipart/form-data; boundary=", 400, "malformed-multipart"),
        (f"multipart/form-data; boundary={'a' * 300}", 400, "malformed-multipart"),
    ],
)
def test_content_types(service: TestClient, kind: str, status: int, slug: str) -> None:
    """Only JSON and sound multipart are read."""
    answer = service.post(MATCHES, content=b'{"title": "mug"}', headers={"content-type": kind})
    assert (answer.status_code if not slug else refusal(answer)) == (status if not slug else (status, slug))


@pytest.mark.parametrize("length", ["-1", "+2", "2, 2", "9" * 5_000, "x"])
def test_lengths_that_are_none(service: TestClient, length: str) -> None:
    """Row C2, where a server lets it through: 400."""
    answer = service.post(MATCHES, content=b"{}", headers=JSON | {"content-length": length})
    assert refusal(answer) == (400, "malformed-header")


def test_a_compressed_body_is_refused(service: TestClient) -> None:
    """Row C16: 415 unsupported-encoding."""
    answer = service.post(MATCHES, content=b"\x1f\x8b", headers=JSON | {"content-encoding": "gzip"})
    assert refusal(answer) == (415, "unsupported-encoding")


@pytest.mark.parametrize("metadata", ["[]", '"a"', "null", json.dumps({"a": "b" * 4_096}), '{"a": "\\ud800"}'])
def test_unusable_metadata(service: TestClient, metadata: str) -> None:
    """Metadata are a JSON object of at most 4 KB of valid Unicode."""
    body = form([Part("title", b"mug"), Part("metadata", metadata.encode())])
    answer = service.put("/v1/postings/bad-metadata", content=body, headers={"content-type": FORM})
    assert refusal(answer) == (422, "invalid-request")
    finding = answer.json()["errors"][0]
    assert finding["pointer"] == "/metadata"
    assert finding["detail"].startswith(("expected", "Input should be"))


def test_metadata_of_4_kb_are_taken(service: TestClient) -> None:
    """Exactly 4,096 bytes as compact JSON."""
    metadata = json.dumps({"é": "b" * (4_096 - 9)}, ensure_ascii=False)
    body = form([Part("title", b"mug"), Part("metadata", metadata.encode())])
    answer = service.put("/v1/postings/metadata", content=body, headers={"content-type": FORM})
    assert answer.status_code == 201
    assert len(json.dumps({"é": "b" * (4_096 - 9)}, ensure_ascii=False, separators=(",", ":")).encode()) == 4_096


def test_json_for_a_put_is_refused(service: TestClient) -> None:
    """A put is a form."""
    assert refusal(service.put("/v1/postings/a", json={"title": "a"})) == (415, "unsupported-media-type")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_methods_that_a_path_does_not_take(service: TestClient, method: str) -> None:
    """405, or 404 where there is no such path, with Allow; never 500 (C11, C17)."""
    answer = service.request(method, MATCHES)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert service.request(method, "/v1/nothing").status_code == 404


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/v1", "/v1/", "/v1/postings/", "/v1//postings", "/v1/matches/", "/%00", "/..%2f"]
)
def test_paths_that_lead_nowhere(service: TestClient, path: str) -> None:
    """404 as a problem document, without a redirect."""
    assert refusal(service.get(path))[0] == 404
