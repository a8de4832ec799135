"""Bulk loads: a line a line, in order, good ones committed, bad ones told."""

import base64
import json
from collections.abc import Iterator, Sequence

import pytest
from starlette.testclient import TestClient

from service.admission import MAX_BULK_LINES
from service.bulk import MAX_LINE_BYTES, MAX_LINES
from service.bundle.bundle import Bundle
from tests.service.conftest import jpeg

NDJSON = {"content-type": "application/x-ndjson"}


def load(client: TestClient, lines: Sequence[object] | bytes | Iterator[bytes]) -> list[dict[str, object]]:
    """Send lines, and read the lines of the answer."""
    body = "\n".join(json.dumps(line) for line in lines) if isinstance(lines, list) else lines
    answer = client.post("/v1/bulk", content=body, headers=NDJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def statuses(answers: Sequence[dict[str, object]]) -> list[object]:
    """The statuses, after a look at the numbering and at problems being there where they must."""
    assert [answer["line"] for answer in answers] == list(range(1, len(answers) + 1))
    assert all((answer["problem"] is None) == (int(str(answer["status"])) < 400) for answer in answers)
    return [answer["status"] for answer in answers]


def put(posting_id: str, **fields: object) -> dict[str, object]:
    return {"op": "put", "posting_id": posting_id, **fields}


def test_each_line_gets_its_own_answer(client: TestClient) -> None:
    """Row D7: good lines are committed, bad ones reported with problem documents, in the order of the lines."""
    image = base64.b64encode(jpeg(1)).decode()
    answers = load(
        client,
        [
            put("a", title="mug", image_base64=image, metadata={"shop": "one"}),
            put("b", image_base64="AAAA"),
            put("c"),
            put("d", title=" "),
            put("e", title="mug", colour="red"),
            put("f/g", title="mug"),
            {"op": "patch", "posting_id": "none", "title": "x"},
            {"op": "drop", "posting_id": "a"},
            {"op": ["put"], "posting_id": "a"},
            [],
            put("h", title="cup"),
        ],
    )
    assert statuses(answers) == [201, 415, 422, 422, 422, 422, 404, 422, 422, 422, 201]
    assert [answer["posting_id"] for answer in answers] == [
        "a",
        "b",
        "c",
        "d",
        "e",
        None,
        "none",
        None,
        None,
        None,
        "h",
    ]
    kinds = [answer["problem"]["type"].rsplit(":", 1)[1] for answer in answers if answer["problem"]]
    assert kinds[:5] == ["unsupported-image-format", "empty-posting", "title-empty", "unknown-field", "id-invalid"]
    assert client.get("/v1/postings/a").json()["views"] == ["image", "title"]
    assert client.get("/v1/postings/h").status_code == 200


def test_lines_of_one_id_apply_in_order(client: TestClient) -> None:
    """Row D8: the same id many times is legal, and the last line counts."""
    lines: list[object] = [put("a", title=f"title {number}") for number in range(50)]
    lines += [{"op": "delete", "posting_id": "a"}, {"op": "patch", "posting_id": "a", "title": "x"}]
    lines += [put("a", title="last"), {"op": "patch", "posting_id": "a", "metadata": {"n": 1}}]
    assert statuses(load(client, lines)) == [201] + [200] * 49 + [204, 404, 201, 200]
    stored = client.get("/v1/postings/a").json()
    assert (stored["title"], stored["metadata"]) == ("last", {"n": 1})


def test_lines_share_batches(client: TestClient, bundle: Bundle) -> None:
    """Several lines are in work at once, so that encoders run on more than one item a time."""
    load(client, [put(f"p{number}", title=f"title {number}") for number in range(200)])
    assert sum(bundle.title.batches) == 200
    assert max(bundle.title.batches) > 1
    assert client.get("/readyz").json()["checks"]["index"]["detail"].startswith("200 postings")


def test_line_ends(client: TestClient) -> None:
    """Row D9: LF, CRLF, both mixed, and none at the end."""
    lines = [json.dumps(put(name, title="mug")).encode() for name in "abc"]
    assert statuses(load(client, lines[0] + b"\r\n" + lines[1] + b"\n" + lines[2])) == [201, 201, 201]
    assert statuses(load(client, lines[0] + b"\n")) == [200]
    assert statuses(load(client, lines[0] + b"\n\n" + lines[1])) == [200, 400, 200]


def test_however_the_lines_are_cut(client: TestClient) -> None:
    """Lines are found whatever the pieces in which they arrive."""
    body = b"\r\n".join(json.dumps(put(f"é{number}", title="mug")).encode() for number in range(5))

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert statuses(load(client, pieces())) == [201] * 5


def test_no_line(client: TestClient) -> None:
    """Row D6: nothing to do is a mistake."""
    answer = client.post("/v1/bulk", content=b"", headers=NDJSON)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:kembar:problem:empty-bulk")


def test_too_many_lines(client: TestClient) -> None:
    """Row D6: the lines before are answered, then one final 413."""
    answers = load(client, b'{"op":"delete","posting_id":"a"}\n' * (MAX_LINES + 5))
    assert statuses(answers) == [204] * MAX_LINES + [413]
    assert answers[-1]["problem"]["type"] == "urn:kembar:problem:body-too-large"


def test_a_line_that_is_too_long(client: TestClient) -> None:
    """Row D9: the lines before it are answered, then one final 413."""
    long = b'{"op":"put","posting_id":"b","title":"' + b"a" * MAX_LINE_BYTES
    answers = load(client, json.dumps(put("a", title="mug")).encode() + b"\n" + long + b'"}\n{}')
    assert statuses(answers) == [201, 413]


def test_too_many_bytes(client: TestClient) -> None:
    """Row D6: past 64 MiB the lines before are answered, then one final 413."""
    line = b'{"op":"delete","posting_id":"a","x":"' + b"a" * 14_000_000 + b'"}\n'
    assert statuses(load(client, (line for _ in range(6)))) == [422] * 4 + [413]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_other_bodies_are_refused(client: TestClient, kind: str) -> None:
    """Bulk loads are NDJSON."""
    assert client.post("/v1/bulk", content=b"{}", headers={"content-type": kind}).status_code == 415


def test_more_lines_than_places(client: TestClient) -> None:
    """A load has more lines than may be in work at once, and all are done: places are given back."""
    lines = [put(f"p{number}") for number in range(3 * MAX_BULK_LINES)]
    assert statuses(load(client, lines)) == [422] * len(lines)
    assert statuses(load(client, lines)) == [422] * len(lines)
