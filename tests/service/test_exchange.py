"""What every request gets: an id, timings, a deadline, admission, and an answer whatever happens."""

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from index.postings import ANY
from service.admission import Admission
from service.app import build_app
from service.bundle.bundle import Bundle
from service.bundle.errors import ModelFault
from service.errors import Draining, Overloaded
from service.jobs import Priority
from service.schemas import PutRequest
from service.settings import Settings
from tests.service.conftest import StartApp, jpeg

MATCHES = "/v1/matches"


def slug(answer) -> str:
    return answer.json()["type"].removeprefix("urn:kembar:problem:")


class Held:
    """A title encoder that waits until it is let, and counts who came."""

    def __init__(self, bundle: Bundle) -> None:
        self._encode = bundle.title.encode
        self.titles: list[str] = []
        self.entered, self.let = threading.Event(), threading.Event()
        bundle.title.encode = self.encode

    def encode(self, titles: Sequence[str]) -> NDArray[np.float32]:
        self.titles += titles
        self.entered.set()
        assert self.let.wait(10)
        return self._encode(titles)


def test_an_answer_says_who_made_it_and_how_long_each_stage_took(client: TestClient) -> None:
    """Request id, model and the stages are in the headers."""
    answer = client.post(MATCHES, files={"image": ("a.jpg", jpeg(1))}, data={"title": "mug"})
    assert answer.headers["model-version"] == answer.json()["model"] == "sha256:fingerprint"
    assert set(stages_of(answer)) == {"read", "decode", "queue", "image", "title", "search"}
    assert len(answer.headers["x-request-id"]) == 32


def test_the_answers_timings_are_those_of_the_metrics(client: TestClient) -> None:
    """What `Server-Timing` said of a match and of a put, stage by stage, is what the histograms have of the two."""
    picture = {"image": ("a.jpg", jpeg(1))}
    told = Counter[str]()
    for answer in (
        client.post(MATCHES, files=picture, data={"title": "mug"}),
        client.put("/v1/postings/a", files=picture, data={"title": "mug"}),
    ):
        told.update(stages_of(answer))
    (family,) = (one for one in metrics_of(client) if one.name == "kembar_stage_seconds")
    summed = {s.labels["stage"]: s.value * 1e3 for s in family.samples if s.name.endswith("_sum")}
    assert set(told) == {"read", "decode", "queue", "image", "title", "search", "write"}
    assert summed == pytest.approx(told, abs=0.2)


def stages_of(answer) -> dict[str, float]:
    """Milliseconds by stage."""
    parts = (part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    return {stage: float(milliseconds) for stage, milliseconds in parts}


def metrics_of(client: TestClient):
    """What Prometheus would read."""
    return text_string_to_metric_families(client.get("/metrics").text)


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_X", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("", False)]
)
def test_the_callers_request_id_comes_back(client: TestClient, sent: str, kept: bool) -> None:
    """A sound id is used in the answer and its problem; an odd one is replaced."""
    answer = client.get("/v1/nothing", headers={"x-request-id": sent})
    assert (answer.headers["x-request-id"] == sent) is kept
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_bug_is_answered_without_a_word_about_it(
    client: TestClient, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is 500 with the request id; the log has the traceback once; the service goes on."""

    def broken(titles: Sequence[str]) -> NDArray[np.float32]:
        raise KeyError("the secret")

    encode, bundle.title.encode = bundle.title.encode, broken
    answer = client.post(MATCHES, json={"title": "mug"})
    bundle.title.encode = encode
    assert (answer.status_code, slug(answer)) == (500, "internal-error")
    assert "secret" not in answer.text
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert client.post(MATCHES, json={"title": "mug"}).status_code == 200


def test_a_model_fault_is_not_a_bug(client: TestClient, bundle: Bundle) -> None:
    """Row J5: a vector that is not finite is 503 model-fault, shows in readiness, and nothing is stored."""

    def nonsense(titles: Sequence[str]) -> NDArray[np.float32]:
        raise ModelFault("expected unit vectors, got nan")

    encode, bundle.title.encode = bundle.title.encode, nonsense
    answer = client.put("/v1/postings/a", files={"title": (None, "mug")})
    assert (answer.status_code, slug(answer), answer.headers["retry-after"]) == (503, "model-fault", "5")
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.json()["checks"]["lanes"] == {"ok": False, "detail": "title: the last batch failed: ModelFault"}
    bundle.title.encode = encode
    assert client.get("/v1/postings/a").status_code == 404
    assert client.put("/v1/postings/a", files={"title": (None, "mug")}).status_code == 201
    assert client.get("/readyz").status_code == 200


def test_the_callers_deadline(start_app: StartApp, bundle: Bundle) -> None:
    """Past X-Request-Timeout-Ms the answer is 504; what was still queued for it is never encoded, and is counted."""
    client = start_app(threads=1)
    held = Held(bundle)
    first = threading.Thread(target=client.post, args=(MATCHES,), kwargs={"json": {"title": "first"}})
    first.start()
    assert held.entered.wait(10)
    answer = client.post(MATCHES, json={"title": "late"}, headers={"x-request-timeout-ms": "50"})
    held.let.set()
    first.join()
    assert (answer.status_code, slug(answer)) == (504, "deadline-passed")
    assert client.post(MATCHES, json={"title": "next"}).status_code == 200
    assert held.titles == ["first", "next"]
    (family,) = (one for one in metrics_of(client) if one.name == "kembar_dropped")
    assert {s.labels["lane"]: s.value for s in family.samples if s.name.endswith("_total")}["title"] == 1


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "abc", "600001", "9" * 50])
def test_a_deadline_that_makes_no_sense(client: TestClient, value: str) -> None:
    """A malformed deadline is told, not ignored."""
    answer = client.get("/v1/model", headers={"x-request-timeout-ms": value})
    assert (answer.status_code, slug(answer)) == (400, "malformed-header")


def test_too_much_waiting_work_is_refused(start_app: StartApp, bundle: Bundle) -> None:
    """Past the limit calls that need work get 503 with Retry-After at once; reads and health are answered (G9)."""
    client = start_app(max_queued_ms=1)
    held = Held(bundle)
    first = threading.Thread(target=client.post, args=(MATCHES,), kwargs={"json": {"title": "first"}})
    first.start()
    assert held.entered.wait(10)
    refused = [
        client.post(MATCHES, json={"title": "second"}),
        client.put("/v1/postings/a", files={"title": (None, "mug")}),
        client.get("/v1/postings/a/matches"),
    ]
    assert [(answer.status_code, slug(answer)) for answer in refused] == [(503, "overloaded")] * 3
    assert int(refused[0].headers["retry-after"]) >= 1
    assert client.get("/livez").status_code == 200
    assert client.get("/v1/postings").status_code == 200
    assert client.get("/readyz").json()["checks"]["queue"]["ok"] is False
    held.let.set()
    first.join()
    assert client.get("/readyz").status_code == 200


def test_bulk_lines_are_not_refused(start_app: StartApp) -> None:
    """Overload slows a bulk load down; each of its lines is done."""
    client = start_app(max_queued_ms=1)
    lines = "\n".join(json.dumps({"op": "put", "posting_id": f"p{n}", "title": f"t{n}"}) for n in range(100))
    answer = client.post("/v1/bulk", content=lines, headers={"content-type": "application/x-ndjson"})
    assert [json.loads(line)["status"] for line in answer.text.splitlines()] == [201] * 100


def test_a_stopping_service_takes_nothing_new(tmp_path, bundle: Bundle) -> None:
    """Once draining, /v1 answers 503 draining, readiness is false, and liveness is not."""
    app = build_app(Settings(data_dir=tmp_path, threads=1), lambda *_: bundle)
    with TestClient(app) as client:
        app.state.admission.drain()
        answer = client.get("/v1/model")
        assert (answer.status_code, slug(answer)) == (503, "draining")
        assert (client.get("/readyz").status_code, client.get("/readyz").json()["status"]) == (503, "draining")
        assert client.get("/livez").status_code == 200


def test_bodies_in_flight_share_a_budget() -> None:
    """A body of unknown length counts as the longest; past the budget 503, and what ends gives its share back (G6)."""
    admission = Admission(upload_budget_bytes=32 * 1024 * 1024, max_queued_ms=1)
    with admission.let_in(None), admission.let_in(10), pytest.raises(Overloaded), admission.let_in(None):
        pass
    with admission.let_in(None), admission.let_in(None):
        pass
    admission.drain()
    with pytest.raises(Draining), admission.let_in(0):
        pass


def test_one_line_a_request(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The log has id, route, status, time and model of each request, and neither title nor picture."""
    caplog.set_level(logging.INFO)
    answer = client.put("/v1/postings/a%0D%1B", files={"title": (None, "a private title")})
    (record,) = [record for record in caplog.records if record.message == "request"]
    assert record.request_id == answer.headers["x-request-id"]
    assert (record.method, record.route, record.status) == ("PUT", "/v1/postings/{posting_id}", 422)
    assert record.model == "sha256:fingerprint"
    assert "private" not in caplog.text


class Wire:
    """A connection as a server gives it to the app, played by hand."""

    def __init__(self, *messages: dict[str, object]) -> None:
        self._messages = list(messages)
        self.sent: list[dict[str, object]] = []
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, object]:
        if self._messages:
            return self._messages.pop(0)
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, object]) -> None:
        self.sent.append(message)


def test_a_refusal_does_not_wait_for_the_body(tmp_path, bundle: Bundle) -> None:
    """An overloaded service answers 503 before a byte of the body is read, takes the rest of it, and then ends."""
    app = build_app(Settings(data_dir=tmp_path, threads=1, max_queued_ms=1), lambda *_: bundle)
    order: list[str] = []

    class Noted(Wire):
        async def receive(self) -> dict[str, object]:
            order.append("received")
            return await super().receive()

        async def send(self, message: dict[str, object]) -> None:
            order.append("sent")
            await super().send(message)

    async def play() -> Wire:
        async with app.router.lifespan_context(app) as state:
            pieces = [{"type": "http.request", "body": bytes(60_000), "more_body": number < 2} for number in range(3)]
            wire = Noted(*pieces)
            headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"180000")]
            scope = {
                "type": "http",
                "method": "POST",
                "path": MATCHES,
                "raw_path": MATCHES.encode(),
                "headers": headers,
            }
            with state["services"].matcher.lane.expecting(1_000.0, Priority.QUERY):
                await app(scope | {"query_string": b"", "state": dict(state)}, wire.receive, wire.send)
            return wire

    wire = asyncio.run(play())
    assert (wire.sent[0]["status"], dict(wire.sent[0]["headers"])[b"connection"]) == (503, b"close")
    assert order == ["sent", "sent", "received", "received", "received", "sent"]
    assert [message.get("more_body", False) for message in wire.sent[1:]] == [True, False]


def test_who_has_gone_leaves_the_queue(tmp_path, bundle: Bundle) -> None:
    """Row G5: the work of a client that hung up is dropped before it is encoded, and nothing is answered."""
    held = Held(bundle)
    app = build_app(Settings(data_dir=tmp_path, threads=1), lambda *_: bundle)

    def call(title: str) -> tuple[dict[str, object], Wire]:
        body = json.dumps({"title": title}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": "POST", "path": MATCHES, "raw_path": MATCHES.encode(), "headers": headers}
        return scope | {"query_string": b""}, Wire({"type": "http.request", "body": body})

    async def play() -> tuple[Wire, Wire]:
        async with app.router.lifespan_context(app) as state:
            calls = [call(title) for title in ("first", "gone", "last")]
            tasks = []
            for scope, wire in calls:
                tasks.append(asyncio.create_task(app(scope | {"state": dict(state)}, wire.receive, wire.send)))
                await asyncio.to_thread(held.entered.wait, 10)
            calls[1][1].left.set()
            await asyncio.wait_for(tasks[1], 10)
            held.let.set()
            await asyncio.gather(*tasks)
            return calls[1][1], calls[2][1]

    gone, last = asyncio.run(play())
    assert gone.sent == []
    assert last.sent[0]["status"] == 200
    assert held.titles == ["first", "last"]


def test_a_gone_client_does_not_undo_a_write(tmp_path, bundle: Bundle) -> None:
    """Row H13: a write that the index has taken is finished, whoever hung up meanwhile."""
    app = build_app(Settings(data_dir=tmp_path, threads=1), lambda *_: bundle)

    async def play() -> str | None:
        async with app.router.lifespan_context(app) as state:
            catalogue = state["services"].catalogue
            for number in range(30):
                writing = asyncio.create_task(
                    catalogue.put(f"p{number}", PutRequest(title="mug"), ANY, Priority.ADDITION)
                )
                await asyncio.sleep(number / 10_000)
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
            await catalogue.put("p", PutRequest(title="cup"), ANY, Priority.ADDITION)
            return (await catalogue.get("p")).title

    assert asyncio.run(play()) == "cup"
