"""Whatever is sent: a declared status, a problem document where it is refused, and never a 5xx."""

import base64
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.app import build_app
from service.settings import Settings
from tests.service.conftest import jpeg
from tests.service.fake_bundle import fake_bundle
from tests.service.forms import BOUNDARY, FORM

PATIENT = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
IMAGE = base64.b64encode(jpeg(1)).decode()
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["balanced", "\ud800", "a/b", "..", "put", "delete", IMAGE, "AAAA", "", " ", "\x00"])
)
NAMES = st.sampled_from(
    [
        "title",
        "image_base64",
        "limit",
        "goal",
        "threshold",
        "filter",
        "exclude",
        "metadata",
        "a",
        "b",
        "posting_id",
        "op",
        "matches",
        "size",
        "cursor",
        "image",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
CALLS = st.sampled_from(
    [("POST", "/v1/matches"), ("POST", "/v1/compare"), ("POST", "/v1/embeddings"), ("PATCH", "/v1/postings/a")]
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = build_app(Settings(data_dir=tmp_path_factory.mktemp("data"), threads=2), lambda *_: fake_bundle())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def declared(service: TestClient) -> dict[tuple[str, str], set[int]]:
    """The statuses that the OpenAPI document declares per route."""
    paths = service.get("/openapi.json").json()["paths"]
    return {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def hold(answer, declared: set[int]) -> None:
    assert answer.status_code in declared, answer.text
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["status"] == answer.status_code


@PATIENT
@given(call=CALLS, body=st.dictionaries(NAMES, VALUES, max_size=6) | VALUES)
def test_any_json(service: TestClient, declared, call: tuple[str, str], body: object) -> None:
    """Any JSON value, with the right names at the wrong places, gets a declared status."""
    method, path = call
    answer = service.request(method, path, content=json.dumps(body), headers={"content-type": "application/json"})
    hold(answer, declared[method, path.replace("/a", "/{posting_id}") if path.endswith("/a") else path])


@PATIENT
@given(
    lines=st.lists(st.fixed_dictionaries({"op": SCALARS, "posting_id": SCALARS}, optional={"title": SCALARS}) | VALUES)
)
def test_any_lines(service: TestClient, lines: list[object]) -> None:
    """A bulk load answers a line a line, whatever they are, and none of them with 5xx."""
    body = "\n".join(json.dumps(line) for line in lines)
    answer = service.post("/v1/bulk", content=body, headers={"content-type": "application/x-ndjson"})
    if not lines:
        assert answer.status_code == 422
        return
    assert [json.loads(line)["line"] for line in answer.text.splitlines()] == list(range(1, len(lines) + 1))
    assert all(json.loads(line)["status"] < 500 for line in answer.text.splitlines())


@PATIENT
@given(
    pieces=st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                f"--{BOUNDARY}\r\n".encode(),
                f"\r\n--{BOUNDARY}\r\n".encode(),
                f"\r\n--{BOUNDARY}--\r\n".encode(),
                b'Content-Disposition: form-data; name="title"\r\n\r\n',
                b'Content-Disposition: form-data; name="image"; filename="a"\r\n\r\n',
                b'Content-Disposition: form-data; name="metadata"\r\n\r\n',
                b'{"a": 1}',
                jpeg(1),
            ]
        ),
        max_size=10,
    )
)
def test_any_form(service: TestClient, declared, pieces: list[bytes]) -> None:
    """Any bytes that call themselves a form get a declared status."""
    answer = service.put("/v1/postings/form", content=b"".join(pieces), headers={"content-type": FORM})
    hold(answer, declared["PUT", "/v1/postings/{posting_id}"])


@PATIENT
@given(
    path=st.sampled_from(["/v1/postings", "/v1/postings/a/matches", "/v1/postings/a/image", "/v1/model"]),
    query=st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=12), max_size=4),
)
def test_any_query(service: TestClient, declared, path: str, query: dict[str, str]) -> None:
    """Any query gets a declared status."""
    answer = service.get(path, params=query)
    hold(answer, declared["GET", path.replace("/a/", "/{posting_id}/")])


@PATIENT
@given(posting_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), title=st.text(max_size=40))
def test_any_id_and_title(service: TestClient, posting_id: str, title: str) -> None:
    """What is taken is given back to the letter; what is not is told."""
    line = json.dumps({"op": "put", "posting_id": posting_id, "title": title})
    headers = {"content-type": "application/x-ndjson"}
    status = json.loads(service.post("/v1/bulk", content=line, headers=headers).text)["status"]
    assert status in (200, 201, 422)
    if status != 422:
        listed = service.get("/v1/postings", params={"limit": 1_000}).json()["postings"]
        assert [found["title"] for found in listed if found["posting_id"] == posting_id] == [title]
        assert (
            json.loads(
                service.post(
                    "/v1/bulk", content=json.dumps({"op": "delete", "posting_id": posting_id}), headers=headers
                ).text
            )["status"]
            == 204
        )
