"""A bundle with the lexical view, from upload to answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.app import build_app
from service.bundle.bundle import Bundle
from service.bundle.decision import Decision
from service.bundle.lexical import BUCKETS, SPEC, LexicalEncoder
from service.bundle.views import View
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle

WEIGHTS = {View.IMAGE: 0.4, View.TITLE: 0.3, View.LEXICAL: 0.3}
OLD, NEW = "Steel mug with a lid", "Blue bowl of glass"


def with_lexical() -> Bundle:
    """The fake bundle and a third view."""
    bundle = fake_bundle()
    decisions = dict(bundle.manifest.decisions)
    decisions |= {key.replace("title", "title+lexical"): one for key, one in decisions.items() if "title" in key}
    manifest = replace(
        bundle.manifest,
        encoders={**bundle.manifest.encoders, View.LEXICAL: SPEC},
        weights=WEIGHTS,
        decisions=decisions,
    )
    lexical = LexicalEncoder(np.ones(BUCKETS, dtype=np.float16))
    return replace(bundle, manifest=manifest, lexical=lexical, decision=Decision(WEIGHTS, decisions))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A running app on it, with one posting."""
    with TestClient(build_app(Settings(data_dir=tmp_path, threads=1), lambda *_: with_lexical())) as found:
        found.put("/v1/postings/m", files={"title": (None, OLD)})
        yield found


def lexical_score(client: TestClient, title: str) -> float:
    answer = client.post("/v1/matches", files={"title": (None, title), "threshold": (None, "-1")}).json()
    assert answer["matches"][0]["views"] == ["title", "lexical"]
    score: float = answer["matches"][0]["lexical_score"]
    return score


@pytest.mark.parametrize("write", ["put", "patch"])
def test_a_new_title_changes_both_of_its_views(client: TestClient, write: str) -> None:
    """The stored posting is compared by how its present title is written, whichever call brought it."""
    assert lexical_score(client, OLD) == 1.0
    if write == "put":
        client.put("/v1/postings/m", files={"title": (None, NEW)})
    else:
        client.patch("/v1/postings/m", json={"title": NEW})
    assert lexical_score(client, NEW) == 1.0
    assert lexical_score(client, OLD) < 0.3
