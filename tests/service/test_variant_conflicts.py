"""Titles that contradict each other, over HTTP."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

TITLES = {
    "same": "Kopi susu arabica gold 250 ml",
    "larger": "Kopi susu arabica gold 500 ml",
    "silent": "Kopi susu arabica gold",
}


@pytest.fixture
def shop(client: TestClient) -> TestClient:
    """Three postings of a coffee, one in another size."""
    for posting_id, title in TITLES.items():
        client.put(f"/v1/postings/{posting_id}", files={"title": (None, title)})
    return client


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"goal": "precision_99"}, ["same"]),
        ({"goal": "balanced"}, ["same", "silent"]),
        ({"goal": "recall_90"}, ["same", "silent", "larger"]),
        ({"threshold": "0.5"}, ["same", "silent", "larger"]),
    ],
)
def test_a_conflict_rejects_where_answers_must_be_right(
    shop: TestClient, options: dict[str, str], expected: list[str]
) -> None:
    """At precision_99 and balanced another size is no match; recall_90 and a score of the caller's own show it."""
    form = {name: (None, value) for name, value in {"title": "Kopi Susu Arabica Gold 250 ML", **options}.items()}
    answer = shop.post("/v1/matches", files=form).json()
    assert sorted(match["posting_id"] for match in answer["matches"]) == sorted(expected)
    conflicts = {match["posting_id"]: match["variant_conflict"] for match in answer["matches"]}
    assert conflicts.get("larger", ["250 ml / 500 ml"]) == ["250 ml / 500 ml"]
    assert [conflicts[name] for name in conflicts if name != "larger"] == [[]] * len(conflicts.keys() - {"larger"})


def test_what_contradicts_is_told_of_the_nearest_rejected(shop: TestClient) -> None:
    """A posting above its threshold that was ruled out says why."""
    shop.delete("/v1/postings/same")
    shop.delete("/v1/postings/silent")
    rejected = shop.post("/v1/matches", files={"title": (None, TITLES["same"])}).json()["best_rejected"]
    assert rejected["score"] >= rejected["threshold"]
    assert (rejected["posting_id"], rejected["variant_conflict"]) == ("larger", ["250 ml / 500 ml"])


def test_comparing_and_storing_judge_alike(shop: TestClient) -> None:
    """compare gives the conflict and says no; a stored posting's own matches and those at a PUT leave it out."""
    compared = shop.post("/v1/compare", json={"a": {"posting_id": "same"}, "b": {"posting_id": "larger"}}).json()
    assert compared["match"]["variant_conflict"] == ["250 ml / 500 ml"]
    assert {goal: verdict["same_product"] for goal, verdict in compared["verdicts"].items()} == {
        "precision_99": False,
        "balanced": False,
        "recall_90": True,
    }
    stored = shop.get("/v1/postings/same/matches").json()
    written = shop.put("/v1/postings/new?matches=true", files={"title": (None, TITLES["same"])}).json()["matches"]
    assert [match["posting_id"] for match in stored["matches"]] == ["silent"]
    assert sorted(match["posting_id"] for match in written["matches"]) == ["same", "silent"]


def test_the_search_goes_on_past_contradicting_titles(client: TestClient, picture: Callable[[int], bytes]) -> None:
    """Two hundred nearer postings of other sizes do not hide the few that match."""
    for number in range(200):
        client.put(f"/v1/postings/w{number:03}", files={"title": (None, f"Kopi susu gold {number + 300} ml")})
    for number in range(3):
        client.put(
            f"/v1/postings/m{number}", files={"title": (None, f"Kopi susu gold 250 ml dark roast blend{number}")}
        )
    answer = client.post("/v1/matches", files={"title": (None, "Kopi susu gold 250 ml"), "goal": (None, "balanced")})
    assert [match["posting_id"] for match in answer.json()["matches"]] == ["m0", "m1", "m2"]
