"""The blocking client against a hand-written service on a real socket."""

import json
import pickle
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from kembar_client import Delete, Goal, Kembar, RetryPolicy
from kembar_client.errors import (
    BadAddress,
    BadAnswer,
    Closed,
    ConnectionLost,
    NotFound,
    Overloaded,
    PreconditionFailed,
    ServiceFault,
    TimedOut,
    Unreachable,
    Unusable,
)
from tests.client.conftest import Connect
from tests.client.fake_service import FakeService, Fields, Scripted, answer, parts_of, problem, serving

QUICK = RetryPolicy(attempts=3, first_wait_s=0.01, longest_wait_s=1)
MATCH: Fields = {
    "matches": [
        {
            "posting_id": "MH01",
            "probability": 0.97,
            "score": 0.913,
            "threshold": 0.74,
            "views": ["image", "title"],
            "goal_supported": True,
            "variant_conflict": [],
            "image_score": None,
            "title_score": 0.988,
            "lexical_score": None,
            "title": None,
            "metadata": {"shop": 1},
            "of_a_newer_service": 1,
        }
    ],
    "goal": "balanced",
    "best_rejected": {
        "posting_id": "MH02",
        "score": 0.731,
        "threshold": 0.74,
        "views": ["title"],
        "variant_conflict": [],
    },
    "limit_reached": False,
    "model": "sha256:3f9c",
    "took_ms": 31.2,
}
WRITTEN: Fields = {
    "posting_id": "m1",
    "revision": 5,
    "created": True,
    "changed": True,
    "views": ["title"],
    "matches": None,
}


@pytest.fixture
def service() -> FakeService:
    """The service that the client speaks to."""
    return FakeService()


@pytest.fixture
def kembar(connect: Connect, service: FakeService) -> Iterator[Kembar]:
    """A client with short waits."""
    with serving(service) as url, connect(url, retry=QUICK) as client:
        yield client


def test_stored_is_read_back(kembar: Kembar, service: FakeService) -> None:
    """What was put is got, as a typed posting, whatever its id is written with."""
    written = kembar.put("a b/ü%2F?#..", image=b"\xff\xd8\r\n--\r\n", title="Kaos “polos” 🍜", metadata={"shop": 7})
    posting = kembar.get("a b/ü%2F?#..")

    assert (written.created, written.changed, written.views) == (True, True, ("image", "title"))
    assert (posting.posting_id, posting.title, posting.metadata) == ("a b/ü%2F?#..", "Kaos “polos” 🍜", {"shop": 7})
    assert posting.revision == written.revision
    assert service.seen[0].path.count("/") == len(("", "v1", "postings"))
    assert posting.created_at.isoformat() == "2026-01-02T12:00:00+00:00"


@pytest.mark.parametrize("posting_id", [".", "..", "a/../b"])
def test_dots_in_an_id_reach_the_service(kembar: Kembar, service: FakeService, posting_id: str) -> None:
    """An id of dots is not resolved as a path: a delete must never hit something else."""
    kembar.put(posting_id, title="Mug")
    kembar.delete(posting_id)

    assert [seen.method for seen in service.seen] == ["PUT", "DELETE"]
    assert service.postings == {}


def test_match_sends_what_was_asked_and_reads_the_evidence(kembar: Kembar, service: FakeService) -> None:
    """A match call sends each argument under its documented name and gives the typed answer."""
    service.script.append(answer(200, MATCH))

    found = kembar.match(
        image=b"\x89PNG", title="hoodie", limit=5, goal=Goal.RECALL_90, where={"shop": "ü"}, exclude=["a,b"]
    )

    assert parts_of(service.seen[0]) == {
        "image": b"\x89PNG",
        "title": b"hoodie",
        "limit": b"5",
        "goal": b"recall_90",
        "filter": b'{"shop":"\\u00fc"}',
        "exclude": b'["a,b"]',
    }
    assert (found.matches[0].posting_id, found.matches[0].image_score, found.took_ms) == ("MH01", None, 31.2)
    assert found.best_rejected is not None
    assert found.best_rejected.posting_id == "MH02"


def test_matches_of_a_stored_posting(kembar: Kembar, service: FakeService) -> None:
    """Matches of a stored posting are asked for by query parameters; a threshold keeps its value."""
    service.script.append(answer(200, MATCH))

    kembar.matches_of("MH 01", limit=3, threshold=1e-7, where={"shop": 1})

    assert service.seen[0].path == "/v1/postings/MH%2001/matches"
    assert {name: json.loads(value) for name, value in service.seen[0].query.items()} == {
        "limit": 3,
        "threshold": 1e-7,
        "filter": {"shop": 1},
    }


def test_put_and_match(kembar: Kembar, service: FakeService) -> None:
    """A seller learns of a duplicate by the same call that stores the posting."""
    service.script.append(answer(201, {**WRITTEN, "matches": MATCH}))

    found = kembar.put_and_match("m1", title="hoodie").matches

    assert service.seen[0].query == {"matches": "true"}
    assert found.matches[0].posting_id == "MH01"


def test_patch_sends_only_what_changes(kembar: Kembar, service: FakeService) -> None:
    """A field that is not given is not in the request, an empty object is."""
    service.script.append(answer(200, WRITTEN))

    assert kembar.patch("m1", metadata={}, if_revision=4).revision == 5
    assert json.loads(service.seen[0].body) == {"metadata": {}}
    assert service.seen[0].headers["if-match"] == '"4"'


def test_scan_walks_all_pages(kembar: Kembar, service: FakeService) -> None:
    """Listing gives every posting once, in order of id, over several pages."""
    ids = [f"m{number:04}" for number in range(2005)]
    for posting_id in ids:
        service.put(posting_id, "Mug", None, {})

    assert [posting.posting_id for posting in kembar.scan()] == ids
    assert len(service.seen) == 3


def test_one_connection_serves_many_calls(kembar: Kembar, service: FakeService) -> None:
    """Fifty calls in a row, answered and refused, share one connection."""
    for number in range(10):
        kembar.put(f"m{number}", title="Mug")
        kembar.get(f"m{number}")
        kembar.delete(f"m{number}")
        kembar.listing()
        with pytest.raises(NotFound):
            kembar.get(f"m{number}")

    assert (len(service.seen), len({seen.peer for seen in service.seen})) == (50, 1)


def test_a_closed_client_says_so(kembar: Kembar, service: FakeService) -> None:
    """After the end of its block a client sends nothing, and says why; to close it again does no harm."""
    kembar.close()
    kembar.close()

    for call in (kembar.ready, lambda: next(kembar.scan()), lambda: next(kembar.bulk([Delete("m1")]))):
        with pytest.raises(Closed, match="this client is closed: make a new one"):
            call()
    assert service.seen == []


def test_closing_ends_a_wait(service: FakeService) -> None:
    """A call of another thread that waits for its next try fails at once when its client is closed."""
    service.busy_for = b"Mug"
    with serving(service) as url, Kembar(url) as kembar, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(kembar.put, "m1", title="Mug")
        while not service.seen:
            time.sleep(0.01)
        kembar.close()

        with pytest.raises((Overloaded, ConnectionLost, Closed)):
            waiting.result(timeout=10)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFound),
        (405, Unusable),
        (412, PreconditionFailed),
        (413, Unusable),
        (422, Unusable),
        (500, ServiceFault),
        (507, ServiceFault),
    ],
)
def test_refusals_carry_the_problem(kembar: Kembar, service: FakeService, status: int, kind: type[NotFound]) -> None:
    """A refusal is an exception of its own kind that carries the problem document, and is not tried again."""
    service.script.append(problem(status, "odd", "Expected this, got that."))

    with pytest.raises(kind, match=f"{status} odd: Expected this, got that") as caught:
        kembar.get("m1")

    assert (caught.value.problem.type, caught.value.problem.request_id) == ("urn:kembar:problem:odd", "r1")
    assert str(pickle.loads(pickle.dumps(caught.value))) == f"{status} odd: Expected this, got that."
    assert len(service.seen) == 1


def test_an_answer_from_something_else(kembar: Kembar, service: FakeService) -> None:
    """A proxy's page and an answer of another shape are told apart from what Kembar says."""
    service.script.extend([Scripted(502, body=b"<html>"), answer(200, {"hello": 1})])

    with pytest.raises(ServiceFault, match="does the address lead to Kembar"):
        kembar.get("m1")
    with pytest.raises(BadAnswer, match="expected a Posting"):
        kembar.get("m1")


@pytest.mark.parametrize("status", [429, 503])
def test_overload_is_tried_again(kembar: Kembar, service: FakeService, status: int) -> None:
    """A service that has too much to do is asked again, and the caller sees the answer only."""
    service.script.extend([problem(status, "overloaded", "Later.", retry_after="0")] * 2)

    assert kembar.put("m1", title="Mug").created
    assert len(service.seen) == 3


def test_overload_that_stays_is_raised(kembar: Kembar, service: FakeService) -> None:
    """After the last try the refusal is raised, with the time that the service asked for."""
    service.script.extend([problem(503, "overloaded", "Later.", retry_after="0")] * 9)

    with pytest.raises(Overloaded) as caught:
        kembar.get("m1")
    assert caught.value.retry_after_s == 0
    assert len(service.seen) == QUICK.attempts


def test_a_conditional_write_is_sent_once(kembar: Kembar, service: FakeService) -> None:
    """A write under a condition is not repeated: done once, its condition no longer holds."""
    service.script.append(problem(503, "storage", "Later.", retry_after="0"))

    with pytest.raises(Overloaded):
        kembar.put("m1", title="Mug", if_revision=4)
    assert len(service.seen) == 1


def test_a_connection_that_breaks_is_made_anew(kembar: Kembar, service: FakeService) -> None:
    """A connection closed without an answer costs a repeatable call nothing, and a conditional one its answer."""
    service.script.append(Scripted(0))
    kembar.delete("m1")
    service.script.append(Scripted(0))

    with pytest.raises(ConnectionLost):
        kembar.delete("m1", if_revision=3)
    assert len(service.seen) == 3


def test_nobody_there(connect: Connect) -> None:
    """A service that does not run is one clear exception, at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(url) as kembar, pytest.raises(Unreachable, match=f"no connection to {url}"):
            kembar.ready()


def test_a_silent_service(connect: Connect) -> None:
    """A service that never answers is given up after the time limit, without a second try; a bulk load has its own."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with connect(url, timeout_s=0.1) as kembar, pytest.raises(TimedOut, match="within the time limit"):
            kembar.get("m1")
        with connect(url, timeout_s=60, bulk_timeout_s=0.1) as kembar, pytest.raises(TimedOut):
            next(kembar.bulk([Delete("m1")]))


@pytest.mark.parametrize("address", ["localhost:8080", "127.0.0.1", "ftp://host", "http://", "http://host:port"])
def test_bad_address(connect: Connect, address: str) -> None:
    """An address that cannot be used is refused when the client is made, showing one that can."""
    with pytest.raises(BadAddress, match=r"http://127\.0\.0\.1:8080"):
        connect(address)


def test_an_id_that_no_address_holds(kembar: Kembar, service: FakeService) -> None:
    """An id of any length is refused as the client refuses, by whoever finds it too long."""
    with pytest.raises(BadAddress, match="use a shorter id"):
        kembar.get("m" * 70_000)
    assert service.seen == []


def test_not_ready_is_an_answer(kembar: Kembar, service: FakeService) -> None:
    """A service that is not ready says which check fails, and the client does not wait for it."""
    disk: Fields = {"ok": False, "detail": "The disk is full."}
    service.script.append(answer(503, {"ready": False, "status": "degraded", "checks": {"disk": disk}}))

    readiness = kembar.ready()

    assert (readiness.ready, readiness.status, readiness.checks["disk"].detail) == (
        False,
        "degraded",
        "The disk is full.",
    )
    assert len(service.seen) == 1


def test_model(kembar: Kembar, service: FakeService) -> None:
    """The model answer is typed down to the thresholds and the data behind them."""
    threshold: Fields = {"score": 0.74, "low": 0.7, "high": 0.78, "groups": 210, "supported": True, "per_tenfold": 0.0}
    service.script.append(
        answer(
            200,
            {
                "encoder_id": "sha256:aa",
                "fingerprint": "sha256:bb",
                "views": ["image"],
                "dimensions": {"image": 256},
                "weights": {"image": 1.0},
                "thresholds": {"image": {"balanced": threshold}},
                "calibration": {"image": {"scores": [0.1, 0.9], "probabilities": [0.0, 1.0]}},
                "gallery_size": 1000,
                "metrics": {"validation": {"f1_mean": 0.8}},
                "provenance": {"data": "drawn"},
            },
        )
    )

    model = kembar.model()

    assert (model.thresholds["image"]["balanced"].groups, model.calibration["image"].scores) == (210, (0.1, 0.9))


def test_httpx_transports_fit(service: FakeService) -> None:
    """Any httpx transport can carry the client, so that it can speak to an application in the same process."""

    class Echo(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"ready": True, "status": request.url.path, "checks": {}})

    with Kembar("http://inside", transport=Echo()) as kembar:
        assert kembar.ready().status == "/readyz"
