"""Readiness and metrics: what an operator sees."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.bundle.bundle import Bundle
from service.problems import INTERNAL, PROBLEMS
from service.readiness import writable
from service.settings import Settings

CHANGES = ("created", "replaced", "unchanged", "deleted")


def test_a_sound_service_is_ready(client: TestClient) -> None:
    """Each check is named, well, and says what it found."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"], answer.json()["status"]) == (200, True, "ready")
    checks = answer.json()["checks"]
    assert set(checks) == {"admission", "bundle", "lanes", "index", "queue", "disk"}
    assert all(check["ok"] and check["detail"] for check in checks.values())


def test_a_directory_that_takes_no_write() -> None:
    """The probe of the disk tells why it failed."""
    check = writable(Path("/proc"))
    assert not check.ok
    assert check.detail.startswith("cannot write: ")


def samples(client: TestClient) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def test_what_is_counted(client: TestClient) -> None:
    """Requests by template and class, stages, batches, index size, queue, problems."""
    client.put("/v1/postings/a", files={"title": (None, "mug")})
    client.post("/v1/matches", json={"title": "mug"})
    client.post("/v1/matches", json={"title": ""})
    found = samples(client)
    put = 'kembar_requests_total{method="PUT",route="/v1/postings/{posting_id}",status_class="2xx"}'
    assert found[put] == 1
    assert found['kembar_requests_total{method="POST",route="/v1/matches",status_class="4xx"}'] == 1
    assert found['kembar_request_seconds_count{route="/v1/matches"}'] == 2
    assert found['kembar_stage_seconds_count{stage="title"}'] == 2
    assert found['kembar_stage_seconds_count{stage="search"}'] == 1
    assert found['kembar_batch_size_count{lane="title"}'] == 2
    assert found['kembar_index_postings{view_set="title"}'] == 1
    assert found['kembar_index_lists{view_set="title"}'] == 0
    assert found['kembar_index_behind{view_set="title"}'] == 0
    assert found['kembar_index_upkeep{work="build-failed"}'] == 0
    assert found['kembar_queue_length{lane="title"}'] == 0
    assert found['kembar_problems_total{type="title-empty"}'] == 1


def test_what_became_of_writes_and_matches(client: TestClient) -> None:
    """Writes by what they did, over HTTP and in bulk; matches per answer, none among them; model, readiness, damage."""
    path, title = "/v1/postings/a", {"title": (None, "mug")}
    for _ in range(2):
        client.put(path, files=title)  # created, then unchanged
    client.patch(path, json={"metadata": {"shop": "one"}})  # replaced
    lines = [{"op": "put", "posting_id": name, "title": "mug"} for name in "bcd"]
    lines += [{"op": "delete", "posting_id": name} for name in ("d", "d", "nobody")]
    client.post("/v1/bulk", content="\n".join(map(json.dumps, lines)), headers={"content-type": "application/x-ndjson"})
    client.put("/v1/postings/e?matches=true", files=title)  # 3 matches
    client.get(f"{path}/matches?limit=1")  # 1
    client.post("/v1/matches", json={"title": "kettle"})  # 0
    client.put(path, files={"title": (None, "")})  # refused
    found = samples(client)
    changes = {change: found[f'kembar_writes_total{{change="{change}"}}'] for change in CHANGES}
    assert changes == {"created": 5, "replaced": 1, "unchanged": 3, "deleted": 1}
    buckets = [found[f'kembar_matches_bucket{{le="{bound}.0"}}'] for bound in (0, 1, 2, 5, 10, 20, 50)]
    assert buckets == [1, 2, 2, 3, 3, 3, 3]
    assert (found["kembar_matches_sum"], found["kembar_matches_count"]) == (4, 3)
    assert found['kembar_model_info{encoder_id="sha256:fake",fingerprint="sha256:fingerprint"}'] == 1
    assert {name: value for name, value in found.items() if name.startswith("kembar_ready")} == {
        f'kembar_ready{{check="{check}"}}': 1 for check in client.get("/readyz").json()["checks"]
    }
    assert found["kembar_index_damaged"] == 0


def test_every_problem_is_counted_from_nothing(client: TestClient) -> None:
    """Each type is there with 0 before it occurs, so that the first of its kind is an increase."""
    found = samples(client)
    assert {found[f'kembar_problems_total{{type="{kind.slug}"}}'] for kind in (*PROBLEMS.values(), INTERNAL)} == {0}


def test_a_service_that_stops_says_so_in_its_metrics(client: TestClient) -> None:
    """The check that fails is 0, the others stay 1."""
    client.app.state.admission.drain()
    found = samples(client)
    assert (found['kembar_ready{check="admission"}'], found['kembar_ready{check="disk"}']) == (0, 1)


def test_the_number_of_series_is_bounded(client: TestClient) -> None:
    """Row F17: random paths, methods and ids make no new series."""
    client.get("/v1/nothing")
    client.request("BREW", "/v1/postings/x")
    client.get("/v1/postings/x")
    samples(client)
    before = set(samples(client))
    for number in range(50):
        client.get(f"/nowhere/{number}")
        client.get(f"/v1/postings/{number}")
        client.request(f"BREW{number}", "/v1/postings/x")
    assert set(samples(client)) == before
    assert len(before) < 300


def test_two_apps_count_for_themselves(tmp_path: Path, bundle: Bundle) -> None:
    """Nothing is global: each app has its own registry."""
    apps = [build_app(Settings(data_dir=tmp_path / name), lambda *_: bundle) for name in "ab"]
    with TestClient(apps[0]) as first, TestClient(apps[1]) as second:
        first.get("/livez")
        count = 'kembar_request_seconds_count{route="/livez"}'
        assert samples(first)[count] == 1
        assert count not in samples(second)


@pytest.mark.parametrize("name", ["data_dir", "bundle"])
def test_nothing_is_opened_by_building(tmp_path: Path, bundle: Bundle, name: str) -> None:
    """`create_app` touches neither disk nor network; the lifespan does."""
    build_app(Settings(**{name: tmp_path / "none"}), lambda *_: bundle)
    assert list(tmp_path.iterdir()) == []
