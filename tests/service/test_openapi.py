"""The OpenAPI document: complete, with examples, and true."""

import json
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from service.problems import PROBLEMS
from tests.service.conftest import StartApp

ROUTES = {
    ("post", "/v1/matches"),
    ("get", "/v1/postings/{posting_id}/matches"),
    ("put", "/v1/postings/{posting_id}"),
    ("patch", "/v1/postings/{posting_id}"),
    ("get", "/v1/postings/{posting_id}"),
    ("get", "/v1/postings/{posting_id}/image"),
    ("delete", "/v1/postings/{posting_id}"),
    ("get", "/v1/postings"),
    ("post", "/v1/bulk"),
    ("post", "/v1/compare"),
    ("post", "/v1/embeddings"),
    ("get", "/v1/model"),
    ("get", "/v1/limits"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


@pytest.fixture
def document(client: TestClient) -> dict:
    return client.get("/openapi.json").json()


def operations(document: dict) -> Iterator[tuple[str, str, dict]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_route_is_there(document: dict) -> None:
    """The routes are those of the interface, and no other."""
    assert {(method, path) for method, path, _ in operations(document)} == ROUTES


def test_every_refusal_has_its_examples(document: dict) -> None:
    """Each declared refusal is a problem document with an example per type; every /v1 route may answer 500 and 503."""
    for _, path, operation in operations(document):
        if not path.startswith("/v1/"):
            continue
        assert {"500", "503", "504", "400"} <= set(operation["responses"]), path
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                content = response["content"]["application/problem+json"]
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert content["examples"], (path, status)
                assert {example["value"]["status"] for example in content["examples"].values()} == {int(status)}


def test_every_answer_has_a_schema_and_an_example(document: dict) -> None:
    """Each success of /v1 that has a body shows one, or says what bytes it is."""
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status in ("200", "201") and path.startswith("/v1/"):
                (content,) = response["content"].values()
                assert "schema" in content, (method, path, status)
                assert "example" in content or content["schema"].get("format") == "binary", (method, path, status)


def test_every_problem_type_is_declared_somewhere(document: dict) -> None:
    """No type is in the table that no route declares."""
    text = json.dumps(document)
    missing = {kind.slug for kind in PROBLEMS.values() if f"urn:kembar:problem:{kind.slug}" not in text}
    assert missing == {"malformed-request"}  # the base of those of 400


def test_parameters_are_named_once(client: TestClient) -> None:
    """No route has a parameter twice, also when the document is asked for again."""
    for _ in range(2):
        for _, path, operation in operations(client.get("/openapi.json").json()):
            names = [(parameter["in"], parameter["name"]) for parameter in operation["parameters"]]
            assert len(names) == len(set(names)), path


def test_references_lead_somewhere(document: dict) -> None:
    """Every $ref is in the components."""
    schemas = document["components"]["schemas"]

    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            yield from ([node["$ref"]] if "$ref" in node else [])
            for value in node.values():
                yield from references(value)
        if isinstance(node, list):
            for value in node:
                yield from references(value)

    assert {found.removeprefix("#/components/schemas/") for found in references(document)} <= set(schemas)


def test_bodies_come_from_the_schemas(document: dict) -> None:
    """A match call is described in both its forms, with the same fields; the picture is a file in one of them."""
    content = document["paths"]["/v1/matches"]["post"]["requestBody"]["content"]
    as_form = content["multipart/form-data"]["schema"]["properties"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/MatchRequest"}
    as_json = document["components"]["schemas"]["MatchRequest"]["properties"]
    assert set(as_form) - {"image"} == set(as_json) - {"image_base64"}
    assert (as_form["image"]["format"], as_json["image_base64"]["anyOf"][0]["contentEncoding"]) == ("binary", "base64")
    assert as_json["limit"]["maximum"] == 50


def test_docs(client: TestClient) -> None:
    """The interactive documentation is there by default."""
    assert client.get("/docs").status_code == 200


def test_docs_can_be_turned_off(start_app: StartApp) -> None:
    """A setting removes the interactive documentation, and nothing else."""
    client = start_app(docs=False)
    assert client.get("/docs").status_code == 404
    assert client.get("/openapi.json").status_code == 200


def test_allow_names_every_method_of_a_path(client: TestClient, document: dict) -> None:
    """A 405 names exactly the methods that the document has for the path."""
    for path, methods in document["paths"].items():
        answer = client.request("TRACE", path.replace("{posting_id}", "a"))
        assert (answer.status_code, answer.headers["allow"]) == (405, ", ".join(sorted(methods)).upper()), path
