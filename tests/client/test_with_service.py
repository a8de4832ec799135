"""The client against the real application on a fake bundle: what the one sends, the other takes."""

import ast
import asyncio
import io
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kembar_client import Content, Delete, Goal, Kembar, Patch, Put
from kembar_client.bulk import Operation
from kembar_client.errors import NotFound, PreconditionFailed, Unusable
from tests.client.conftest import Connect
from tests.commands.live_service import live_service

ODD_IDS = ["a b", "ü", "50%", "a%2Fb", "?x=1#y", "...", "a..b", "+", "🍜", "1", "01"]


def picture(seed: int) -> bytes:
    """A picture of random tiles, unlike that of any other seed."""
    tiles = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(tiles).resize((64, 64), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for all tests here."""
    with live_service(tmp_path_factory.mktemp("data")) as service:
        yield service.url


@pytest.fixture
def kembar(url: str, connect: Connect) -> Iterator[Kembar]:
    """A client of a service that holds nothing."""
    with connect(url) as client:
        list(client.bulk([Delete(posting.posting_id) for posting in client.scan()] or [Delete("none")]))
        yield client


@pytest.mark.parametrize("posting_id", ODD_IDS)
def test_any_id_goes_there_and_back(kembar: Kembar, posting_id: str) -> None:
    """An id with characters that mean something in a URL names one posting in every call."""
    kembar.put(posting_id, title="Mug", metadata={"shop": "ü"})
    kembar.patch(posting_id, title="Cup")

    assert (kembar.get(posting_id).posting_id, kembar.get(posting_id).title) == (posting_id, "Cup")
    assert [posting.posting_id for posting in kembar.scan()] == [posting_id]
    assert kembar.matches_of(posting_id).matches == ()
    kembar.delete(posting_id)
    assert list(kembar.scan()) == []


def test_a_match_and_its_evidence(kembar: Kembar) -> None:
    """A stored posting is found again by its own picture and title, with all arguments understood."""
    kembar.put("m1", image=picture(1), title="red plate", metadata={"shop": 1})
    kembar.put("m2", image=picture(2), title="blue bowl", metadata={"shop": 2})

    found = kembar.match(image=picture(1), title="Red plate", goal=Goal.PRECISION_99, limit=5, where={"shop": 1})
    excluded = kembar.match(image=picture(1), threshold=-1, exclude=["m1"])

    assert [(one.posting_id, one.image_score, one.title_score) for one in found.matches] == [("m1", 1.0, 1.0)]
    assert found.goal == "precision_99"
    assert [one.posting_id for one in excluded.matches] == ["m2"]
    assert excluded.matches[0].title_score is None


def test_a_write_tells_of_duplicates(kembar: Kembar) -> None:
    """put_and_match stores and matches in one call; the same content again changes nothing."""
    kembar.put("m1", image=picture(1), title="red plate")
    first = kembar.put_and_match("m2", image=picture(1), title="red plate")
    again = kembar.put("m2", image=picture(1), title="red plate")

    assert [one.posting_id for one in first.matches.matches] == ["m1"]
    assert (first.created, again.created, again.changed, again.revision) == (True, False, False, first.revision)


def test_conditions(kembar: Kembar) -> None:
    """A write under a condition is done or refused as the stored revision demands."""
    revision = kembar.put("m1", title="Mug").revision

    assert kembar.patch("m1", metadata={"a": 1}, if_revision=revision).changed
    with pytest.raises(PreconditionFailed):
        kembar.put("m1", title="Cup", if_revision=revision)
    with pytest.raises(PreconditionFailed):
        kembar.delete("m1", if_revision=revision)
    assert kembar.get("m1").title == "Mug"


def test_refusals(kembar: Kembar) -> None:
    """What the service refuses arrives as the exception of its kind, with the type of the problem."""
    with pytest.raises(NotFound) as absent:
        kembar.get("m1")
    with pytest.raises(Unusable) as unreadable:
        kembar.match(image=b"no picture")
    with pytest.raises(Unusable) as blank:
        kembar.put("m1", title=" ")

    assert absent.value.problem.type.endswith("unknown-posting")
    assert unreadable.value.problem.type.endswith("unsupported-image-format")
    assert blank.value.problem.type.endswith("title-empty")


def test_what_is_no_unicode_is_refused_by_the_service(kembar: Kembar) -> None:
    """A lone surrogate, which feeds do hold, is an answer of the service like any other, wherever it stands."""
    odd = "mug \ud800"
    calls: dict[str, Callable[[], object]] = {
        "title-invalid-unicode": lambda: kembar.match(title=odd),
        "id-invalid": lambda: kembar.get(odd),
        "invalid-request": lambda: kembar.put("m1", title="mug", metadata={"a": odd}),
    }
    for slug, call in calls.items():
        with pytest.raises(Unusable) as caught:
            call()
        assert caught.value.problem.type == f"urn:kembar:problem:{slug}"

    (answer,) = kembar.bulk([Put("m1", title=odd)])
    assert answer.problem is not None
    assert answer.problem.type == "urn:kembar:problem:title-invalid-unicode"


def test_bulk(kembar: Kembar) -> None:
    """Bulk operations, good and bad, are answered one by one, and what they leave is what they say."""
    operations: list[Operation] = [
        Put("m1", title="Mug", image=picture(1), metadata={"a": [1, None]}),
        Put("m2", image=b"no picture"),
        Put("m1", title="Cup"),
        Patch("m1", metadata={"a": 2}),
        Patch("m3", title="Bowl"),
        Delete("m9"),
    ]
    answers = list(kembar.bulk(operations, max_lines=2))

    assert [(one.line, one.posting_id, one.status) for one in answers] == [
        (1, "m1", 201),
        (2, "m2", 415),
        (3, "m1", 200),
        (4, "m1", 200),
        (5, "m3", 404),
        (6, "m9", 204),
    ]
    assert [(one.posting_id, one.title, one.metadata) for one in kembar.scan()] == [("m1", "Cup", {"a": 2})]


def test_scan_by_pages_and_by_filter(kembar: Kembar) -> None:
    """More postings than a page holds are listed once each, in order; a filter keeps its equals."""
    ids = [f"m{number:04}" for number in range(1200)]
    assert all(
        one.problem is None for one in kembar.bulk(Put(name, name, None, {"odd": name[-1] in "13579"}) for name in ids)
    )

    assert [posting.posting_id for posting in kembar.scan()] == ids
    assert [posting.posting_id for posting in kembar.scan(where={"odd": True})] == ids[1::2]


def test_model_and_readiness(kembar: Kembar) -> None:
    """The model and readiness answers parse, down to the thresholds and the checks."""
    model = kembar.model()

    assert model.thresholds["image+title"]["balanced"].groups == 40
    assert sum(model.weights.values()) == pytest.approx(1)
    assert kembar.ready().ready


def test_data_survive_in_a_directory(tmp_path: Path) -> None:
    """A stop by SIGTERM ends with exit code 0 and keeps what was acknowledged."""
    with live_service(tmp_path) as service, Kembar(service.url) as kembar:
        kembar.put("m1", title="Mug")
        assert service.end(signal.SIGTERM) == 0
        service.start()
        assert kembar.get("m1").title == "Mug"


def test_compare_embeddings_limits_and_picture(kembar: Kembar) -> None:
    """Two postings are judged at each goal, stored or sent along; vectors are unit; the picture comes back as JPEG."""
    kembar.put("m1", image=picture(1), title="red plate")

    same = kembar.compare("m1", Content(title="Red plate", image=picture(1)))
    strangers = kembar.compare(Content(title="bowl"), Content(image=picture(1)))
    vectors = kembar.embeddings(image=picture(1), title="red plate").vectors

    assert (same.match and same.match.score, same.verdicts[Goal.BALANCED].same_product) == (1.0, True)
    assert (strangers.match, strangers.verdicts["balanced"].threshold) == (None, None)
    assert {view: round(float(np.linalg.norm(vector)), 5) for view, vector in vectors.items()} == {
        "image": 1,
        "title": 1,
    }
    assert kembar.limits().posting_id_bytes == 128
    assert Image.open(io.BytesIO(kembar.picture("m1"))).size == (64, 64)
    assert Image.open(io.BytesIO(kembar.picture("m1", thumbnail=True))).format == "JPEG"
    with pytest.raises(NotFound):
        kembar.picture("m2")


def test_a_listing_goes_on_from_its_cursor(kembar: Kembar) -> None:
    """A page names where the next one begins, and the last one none."""
    list(kembar.bulk(Put(f"m{number}", "Mug") for number in range(3)))

    first = kembar.listing(limit=2)
    last = kembar.listing(cursor=first.next_cursor, limit=2)

    assert [[one.posting_id for one in page.postings] for page in (first, last)] == [["m0", "m1"], ["m2"]]
    assert (first.postings[0].vectors, last.next_cursor) == (None, None)


def test_vectors_come_with_a_scan(kembar: Kembar) -> None:
    """A scan gives, where asked, the vector of each view that a posting has, as the service would make it anew."""
    list(kembar.bulk(Put(f"m{number:03}", f"Mug {number}", picture(1)) for number in range(120)))
    anew = kembar.embeddings(title="Mug 119", image=picture(1)).vectors

    postings = list(kembar.scan(with_vectors=True))

    assert len(postings) == 120
    assert postings[-1].vectors is not None
    assert {view: np.allclose(vector, anew[view], atol=1e-3) for view, vector in postings[-1].vectors.items()} == {
        "image": True,
        "title": True,
    }


def test_the_readme_says_what_works(kembar: Kembar, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The code of the client's README runs as it stands there."""
    readme = (Path(__file__).parents[2] / "kembar_client" / "README.md").read_text(encoding="utf-8")
    source = readme.split("```python\n")[1].split("```")[0].replace("http://127.0.0.1:8080", url)
    names = {"picture": picture(1), "feed": [{"id": "twin", "title": "Red mug 250 ml"}, {"id": "blank", "title": " "}]}

    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    asyncio.run(eval(code, names))

    assert capsys.readouterr().out.startswith("blank expected ")
    assert [match.posting_id for match in names["answer"].matches] == ["twin"]
