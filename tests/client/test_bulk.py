"""Bulk loads: how operations are cut into requests, sent two at a time and answered in order."""

import asyncio
import base64
import gc
import json
import time
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import pairwise
from threading import Barrier

import httpx
import pytest

from kembar_client import AsyncKembar, Delete, Patch, Put, RetryPolicy
from kembar_client.bulk import Load, Operation, line_of
from kembar_client.errors import BadAnswer, Overloaded, Unusable
from tests.client.conftest import Connect
from tests.client.fake_service import FakeService, Scripted, problem, serving

QUICK = RetryPolicy(attempts=3, first_wait_s=0.01)


def test_lines_are_what_the_interface_names() -> None:
    """Each operation becomes one line with the documented names, and what is absent is left out."""
    operations: list[Operation] = [
        Put("m1", title='Kaos "polos"\n🍜', image=b"\xff\x00", metadata={"shop": 7}),
        Put("m2", title="Mug"),
        Patch("m1", metadata={}),
        Delete("m2"),
    ]
    lines = [line_of(operation) for operation in operations]

    assert [line.count(b"\n") for line in lines] == [1, 1, 1, 1]
    assert [json.loads(line) for line in lines] == [
        {
            "op": "put",
            "posting_id": "m1",
            "title": 'Kaos "polos"\n🍜',
            "image_base64": base64.b64encode(b"\xff\x00").decode(),
            "metadata": {"shop": 7},
        },
        {"op": "put", "posting_id": "m2", "title": "Mug", "metadata": {}},
        {"op": "patch", "posting_id": "m1", "metadata": {}},
        {"op": "delete", "posting_id": "m2"},
    ]


def cut(operations: Iterable[Operation], max_lines: int, max_bytes: int) -> list[bytes]:
    """The bodies of the requests that a load is cut into."""
    load = Load(lambda call: call.content, max_lines, max_bytes, 1.0)
    bodies = [body for operation in operations for body in load.add(operation)]
    return [body or b"" for body in (*bodies, *load.finish())]


def test_requests_keep_both_limits() -> None:
    """No request has more lines or bytes than allowed, none could have taken the next line, and nothing is lost."""
    operations = [Delete("x" * (1 + number * 7 % 50) + str(number)) for number in range(200)]

    bodies = cut(operations, max_lines=7, max_bytes=400)

    assert b"".join(bodies) == b"".join(line_of(operation) for operation in operations)
    assert {body.count(b"\n") for body in bodies} >= {6, 7}
    for body, following in pairwise(bodies):
        assert body.count(b"\n") <= 7
        assert len(body) <= 400
        assert body.count(b"\n") == 7 or len(body) + following.index(b"\n") + 1 > 400


def test_a_line_over_the_limit_goes_alone() -> None:
    """A line that no request can hold is sent by itself, for the service to refuse."""
    operations = [Delete("a"), Delete("b" * 500), Delete("c")]

    assert cut(operations, max_lines=8, max_bytes=400) == [line_of(operation) for operation in operations]


def test_operations_are_read_only_as_needed(connect: Connect) -> None:
    """No more than two requests' operations are read ahead of the answers, so that memory does not grow."""
    ahead = read = 0

    def endless() -> Iterator[Operation]:
        nonlocal read
        while True:
            read += 1
            yield Delete(f"m{read}")

    with serving(FakeService()) as url, connect(url) as kembar:
        answers = kembar.bulk(endless(), max_lines=5)
        for given in range(42):
            next(answers)
            ahead = max(ahead, read - given)
        answers.close()

    assert ahead == 10


class Storing(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A service in the same process that stores every line and forgets it."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        done = {"line": 1, "posting_id": None, "status": 201, "problem": None}
        return httpx.Response(200, content=json.dumps(done).encode())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


def test_what_was_sent_is_let_go(connect: Connect) -> None:
    """The memory of a load is that of a few requests, however long it is, also when the collector does not run."""
    gc.disable()
    tracemalloc.start()
    try:
        with connect("http://inside", transport=Storing()) as kembar:
            count = sum(1 for _ in kembar.bulk((Put(f"m{n}", image=bytes(400_000)) for n in range(25)), max_lines=1))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()

    assert count == 25
    assert peak_bytes < 6_000_000


def test_async_iterables_are_taken() -> None:
    """Operations may come from an async iterable, too; what waits for them leaves the requests under way."""

    async def load(url: str) -> list[int]:
        async def operations() -> AsyncIterator[Operation]:
            for number in range(12):
                await asyncio.sleep(0)
                yield Put(f"m{number}", title="Mug")

        async with AsyncKembar(url) as kembar:
            return [answer.line async for answer in kembar.bulk(operations(), max_lines=5)]

    with serving(service := FakeService()) as url:
        assert asyncio.run(load(url)) == list(range(1, 13))
    assert len(service.postings) == 12


def test_breaking_off_waits_for_no_retry(connect: Connect) -> None:
    """A load that the caller leaves does not sit through the wait that the service asked of a request under way."""
    service = FakeService(busy_for=b"m2")
    with serving(service) as url, connect(url) as kembar:
        answers = kembar.bulk([Delete("m1"), Delete("m2"), Delete("m3")], max_lines=1)
        assert next(answers).posting_id == "m1"
        started = time.monotonic()
        answers.close()

    assert time.monotonic() - started < 10
    assert [seen.body for seen in service.seen if b"m3" in seen.body] == []


def test_answers_come_in_order_over_many_requests(connect: Connect) -> None:
    """One answer each, numbered through, in the order of the operations; a bad one stops nothing."""
    service = FakeService()
    ids = [f"m{number}" for number in range(25)]
    with serving(service) as url, connect(url) as kembar:
        service.line_problems["m13"] = deque([422])
        answers = list(kembar.bulk((Put(posting_id, title="Mug") for posting_id in ids), max_lines=4))

    assert [(one.line, one.posting_id) for one in answers] == list(enumerate(ids, 1))
    assert [one.status for one in answers] == [422 if posting_id == "m13" else 201 for posting_id in ids]
    refused = answers[13].problem
    assert refused is not None
    assert refused.type == "urn:kembar:problem:odd"
    assert set(service.postings) == set(ids) - {"m13"}


def test_two_requests_are_under_way_at_once(connect: Connect) -> None:
    """Two requests are sent side by side, and never a third."""
    service = FakeService(together=Barrier(2, timeout=5))
    with serving(service) as url, connect(url) as kembar:
        list(kembar.bulk((Delete(f"m{number}") for number in range(8)), max_lines=1))

    assert service.most_at_once == 2
    assert not service.together or not service.together.broken


def test_operations_on_one_posting_keep_their_order(connect: Connect) -> None:
    """A request waits for an earlier one that touches the same posting."""
    service = FakeService(together=Barrier(2, timeout=0.2))
    with serving(service) as url, connect(url) as kembar:
        list(kembar.bulk((Put("same", title=f"Mug {number}") for number in range(3)), max_lines=1))

    assert service.most_at_once == 1
    assert service.postings["same"]["title"] == "Mug 2"


def test_overload_of_one_request_is_tried_again(connect: Connect) -> None:
    """A request refused at the door is sent again; the caller sees the answers only."""
    service = FakeService()
    service.script.append(problem(503, "overloaded", "Later.", retry_after="0"))
    with serving(service) as url, connect(url, retry=QUICK) as kembar:
        answers = list(kembar.bulk([Put("m1", title="Mug")]))

    assert [one.status for one in answers] == [201]


def test_a_load_cut_short_says_why(connect: Connect) -> None:
    """Where the service stops early, its last line becomes the exception; fewer answers without a word are one too."""
    service = FakeService()
    told = {"line": 1, "posting_id": None, "status": 413, "problem": {"title": "Too large", "status": 413}}
    service.script.extend([Scripted(200, body=json.dumps(told).encode()), Scripted(200, body=b"")])
    operations = [Delete("m1"), Delete("m2")]
    with serving(service) as url, connect(url) as kembar:
        with pytest.raises(Unusable, match="Too large"):
            list(kembar.bulk(operations))
        with pytest.raises(BadAnswer, match="expected 2 bulk answers, got 0"):
            list(kembar.bulk(operations))


def test_answers_before_a_fault_are_given(connect: Connect) -> None:
    """What was answered before a request failed reaches the caller, then the fault does."""
    service = FakeService()
    given = []
    with serving(service) as url, connect(url, retry=RetryPolicy(attempts=1)) as kembar:
        answers = kembar.bulk((Delete(f"m{number}") for number in range(9)), max_lines=3)
        given.append(next(answers).line)
        service.script.extend([problem(503, "draining", "Later.")] * 3)
        with pytest.raises(Overloaded):
            given.extend(one.line for one in answers)

    assert given[:3] == [1, 2, 3]
