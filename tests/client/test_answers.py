"""The typed answers against the OpenAPI document of the service: neither may gain or lose a field alone."""

import pytest
from pydantic import BaseModel, JsonValue, TypeAdapter

from kembar_client import answers
from service.app import build_app
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle

Schema = dict[str, JsonValue]

ANSWERS: dict[str, type[BaseModel]] = {
    "BulkLine": answers.BulkAnswer,
    "Calibration": answers.Calibration,
    "Check": answers.Check,
    "CompareAnswer": answers.Comparison,
    "EmbeddingsAnswer": answers.Embeddings,
    "GoalThreshold": answers.Threshold,
    "LimitsAnswer": answers.Limits,
    "Match": answers.Match,
    "MatchAnswer": answers.MatchAnswer,
    "ModelAnswer": answers.ModelCard,
    "Page": answers.PostingPage,
    "PostingAnswer": answers.Posting,
    "Problem": answers.Problem,
    "Finding": answers.Finding,
    "Readiness": answers.Readiness,
    "Rejected": answers.Rejected,
    "Verdict": answers.Verdict,
    "WrittenAnswer": answers.Written,
}
TEXT: Schema = {"type": "string"}
NULL: Schema = {"type": "null"}
# (as documented, as modelled): where the two differ on purpose.
DIFFERENT: dict[tuple[str, str], tuple[Schema, Schema]] = {
    # Only a comparison with a posting that was sent along gives null; a match of the client always has an id.
    ("Match", "posting_id"): ({"anyOf": [NULL, TEXT]}, TEXT),
    ("CompareAnswer", "match"): ({"anyOf": [{"is": "Match"}, NULL]}, {"anyOf": [{"is": "Evidence"}, NULL]}),
    # A proxy between client and service knows no request ids.
    ("Problem", "request_id"): (TEXT, {"anyOf": [NULL, TEXT]}),
}
# For the same reason no field of a problem but its status must be there.
FEWER_REQUIRED = {"Problem", "Finding"}
NOT_TYPES = {"title", "description", "default", "examples", "propertyNames", "maximum", "minimum"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """The OpenAPI document of the service."""
    app = build_app(Settings(data_dir=tmp_path_factory.mktemp("data")), lambda *_: fake_bundle())
    return app.openapi()


def types(schema: Schema, names: dict[str, str]) -> dict[str, JsonValue]:
    """The types of an object's fields, references by `names`; what else a schema says is left out."""
    return {field: _type(value, names) for field, value in schema["properties"].items()}


def _type(node: JsonValue, names: dict[str, str]) -> JsonValue:
    if isinstance(node, list):
        return sorted((_type(one, names) for one in node), key=str)
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = _name(node)
        return {"is": names.get(name, name)}
    return {key: _type(value, names) for key, value in node.items() if key not in NOT_TYPES and value is not True}


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def names_of_answers(document: Schema) -> set[str]:
    """The schemas that answers refer to, directly or through others."""
    schemas = document["components"]["schemas"]
    responses = [
        response
        for methods in document["paths"].values()
        for operation in methods.values()
        for response in operation["responses"].values()
    ]
    found: set[str] = set()
    left: list[JsonValue] = [responses]
    while left:
        node = left.pop()
        if isinstance(node, dict) and "$ref" in node:
            name = _name(node)
            left.extend([] if name in found else [schemas[name]])
            found.add(name)
        elif isinstance(node, (dict, list)):
            left.extend(node.values() if isinstance(node, dict) else node)
    return {name for name in found if "properties" in schemas[name]}


def test_every_answer_has_a_model(document: Schema) -> None:
    """Each object that the service answers has its model in the client, and no model is without its object."""
    models = {one for one in vars(answers).values() if isinstance(one, type) and issubclass(one, BaseModel)}

    assert names_of_answers(document) == set(ANSWERS)
    narrower = {answers.Match: answers.Evidence, answers.Matched: answers.Written}  # with less that may be null
    assert models - set(ANSWERS.values()) == {BaseModel, answers._Answer, answers.Evidence, answers.Matched}
    assert all(list(one.model_fields) == list(other.model_fields) for one, other in narrower.items())


@pytest.mark.parametrize("name", ANSWERS)
def test_fields_are_those_of_the_document(document: Schema, name: str) -> None:
    """An answer has the documented fields, each of the documented type, null and absent only where the service may."""
    documented, modelled = document["components"]["schemas"][name], TypeAdapter(ANSWERS[name]).json_schema()
    theirs, ours = types(documented, {}), types(modelled, {model.__name__: name for name, model in ANSWERS.items()})

    assert set(ours) == set(theirs)
    different = {(name, field): (theirs[field], ours[field]) for field in ours if ours[field] != theirs[field]}
    assert different == {key: pair for key, pair in DIFFERENT.items() if key[0] == name}
    assert name in FEWER_REQUIRED or set(modelled["required"]) == set(documented["required"])
