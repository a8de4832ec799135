"""The table of problems: complete, unambiguous, and silent about what is not the caller's business."""

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

import index.errors
import service.bundle.errors
import service.errors
from service.errors import Finding, Overloaded, UnknownField
from service.problems import PROBLEMS, kind_of, problem_of, problem_response

OPENING = (index.errors.CannotOpen, service.bundle.errors.BundleError)  # raised before there is anybody to answer


def leaves(root: type[Exception]) -> Iterator[type[Exception]]:
    """The classes beneath `root` that have none beneath them."""
    children = root.__subclasses__()
    if not children:
        yield root
    for child in children:
        yield from leaves(child)


RAISED = [
    leaf
    for root in (service.errors.ServiceError, service.bundle.errors.PostingError, index.errors.IndexFault)
    for leaf in leaves(root)
    if not issubclass(leaf, OPENING) or leaf is index.errors.DatabaseDamaged
] + [service.bundle.errors.ModelFault]


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_every_error_has_its_own_entry(kind: type[Exception]) -> None:
    """No error of ours that a request can raise is answered as a bug."""
    assert kind in PROBLEMS


def test_a_type_is_one_status_and_one_title() -> None:
    """A slug never means two things."""
    by_slug = {}
    for kind in PROBLEMS.values():
        assert by_slug.setdefault(kind.slug, kind) == kind


def test_a_bug_reveals_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An unknown error is 500 with the request id and no word of what went wrong; the log has it once."""
    problem = problem_of(KeyError("the secret"), "r1")
    assert (problem.status, problem.request_id, problem.type) == (500, "r1", "urn:kembar:problem:internal-error")
    assert "secret" not in str(problem)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the secret" in caplog.text


def test_a_fault_of_the_storage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """What an operator must see is in the log, what a caller did wrong is not."""
    problem_of(index.errors.StorageFailed("no disk"), "r1")
    problem_of(index.errors.StorageFull("no room"), "r2")  # the index says it once, not at every write
    problem_of(index.errors.UnknownPosting("no such"), "r3")
    assert [(record.message, record.request_id) for record in caplog.records] == [("fault", "r1")]


def test_findings_are_in_the_document() -> None:
    """`errors` carries the JSON pointers."""
    assert problem_of(UnknownField("no", [Finding("/a", "unknown")]), "r").errors == (Finding("/a", "unknown"),)
    assert problem_of(index.errors.UnknownPosting("no"), "r").errors == ()


def test_when_to_come_back() -> None:
    """Every 503 says when to try again."""
    assert problem_response(Overloaded("full", retry_after_s=7), "r").headers["retry-after"] == "7"
    assert problem_response(index.errors.StorageFailed("disk"), "r").headers["retry-after"] == "5"
    assert "retry-after" not in problem_response(index.errors.StorageFull("disk"), "r").headers


def test_the_routers_own_refusals() -> None:
    """404 and 405 of the framework are of our types; anything else it raises would be a bug."""
    assert [kind_of(HTTPException(status)).slug for status in (404, 405, 418)] == [
        "unknown-path",
        "method-not-allowed",
        "internal-error",
    ]


def test_routes_contain_no_try() -> None:
    """Errors travel to the one place that answers them."""
    for path in Path(service.__file__).parent.glob("routes/*.py"):
        assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Try)], path
