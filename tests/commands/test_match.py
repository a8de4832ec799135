"""`kembar match`: what a person sees, and what a program gets."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.commands.main import main
from tests.client.fake_service import FakeService, Fields, answer, parts_of, problem, serving


def found(posting_id: str, title: str | None, score: float = 0.913) -> Fields:
    return {
        "posting_id": posting_id,
        "probability": 0.974,
        "score": score,
        "threshold": 0.74,
        "views": ["title"],
        "goal_supported": True,
        "variant_conflict": [],
        "image_score": None,
        "title_score": score,
        "lexical_score": None,
        "title": title,
        "metadata": {},
    }


def answered(*matches: Fields, best_rejected: Fields | None = None) -> Fields:
    return {
        "matches": list(matches),
        "goal": "balanced",
        "best_rejected": best_rejected,
        "limit_reached": False,
        "model": "sha256:3f9c",
        "took_ms": 31.2,
    }


@pytest.fixture
def service() -> FakeService:
    """The service asked."""
    return FakeService()


@pytest.fixture
def url(service: FakeService) -> Iterator[str]:
    """Its address."""
    with serving(service) as address:
        yield address


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["match", *arguments])


def test_matches_are_a_table(service: FakeService, url: str, tmp_path: Path) -> None:
    """Probability, score, id and title stand in columns, best first, and a hostile title cannot steer the terminal."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    hostile = "Mug\x1b[2J\n\u202ered"
    service.script.append(
        answer(200, answered(found("MH01-XS", "Hoodie"), found("m2", hostile, 0.8), found("m3", None)))
    )

    result = run("--image", str(tmp_path / "a.jpg"), "--title", "hoodie", "--goal", "recall_90", "--url", url)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "probability  score  posting  title",
        "      97.4%  0.913  MH01-XS  Hoodie",
        "      97.4%  0.800  m2       Mug [2J  red",
        "      97.4%  0.913  m3",
    ]
    assert parts_of(service.seen[0]) == {"image": b"picture", "title": b"hoodie", "limit": b"50", "goal": b"recall_90"}


def test_no_match_says_how_near(service: FakeService, url: str) -> None:
    """No match is an answer, and it says what came nearest and what it lacked."""
    near: Fields = {"posting_id": "MH02", "score": 0.731, "threshold": 0.74, "views": ["title"], "variant_conflict": []}
    other: Fields = {**near, "score": 0.9, "variant_conflict": ["2 kg / 1 kg"]}
    service.script.extend([answer(200, answered(best_rejected=one)) for one in (near, other, None)])

    said = [run("--title", "hoodie", "--url", url) for _ in range(3)]

    assert [(one.exit_code, one.stdout) for one in said] == [
        (0, "No match. Nearest is MH02: score 0.731, needed 0.740.\n"),
        (0, "No match. Nearest is MH02: the titles contradict each other, 2 kg / 1 kg.\n"),
        (0, "No match, and nothing near.\n"),
    ]


def test_json_is_the_whole_answer(service: FakeService, url: str) -> None:
    """With --json a program gets what the service said."""
    whole = answered(found("m1", "Mug"))
    service.script.append(answer(200, whole))

    result = run("--title", "mug", "--threshold", "-1", "--limit", "3", "--json", "--url", url)

    assert json.loads(result.stdout) == whole
    assert parts_of(service.seen[0]) == {"title": b"mug", "threshold": b"-1.0", "limit": b"3"}


def test_a_refusal_is_one_line(service: FakeService, url: str) -> None:
    """What the service refuses is one line on stderr and exit code 3."""
    service.script.append(problem(415, "unsupported-image-format", "expected JPEG or PNG"))

    result = run("--title", "mug", "--url", url)

    assert result.exit_code == 3
    assert result.stderr == "Error: 415 unsupported-image-format: expected JPEG or PNG\n"


@pytest.mark.parametrize(
    ("size", "message"),
    [(50_000_000, "picture file has 50000000 bytes, the most is 10485760"), (None, "cannot be read")],
)
def test_a_picture_that_cannot_be_sent(
    service: FakeService, url: str, tmp_path: Path, size: int | None, message: str
) -> None:
    """A picture that is too large or cannot be read is one line, exit code 3, and the service is not asked."""
    picture = tmp_path / "a.jpg"
    picture.touch()
    os.truncate(picture, size or 0)
    if size is None:
        picture = Path("/proc/self/mem")  # a file that cannot be read, for root either

    result = run("--image", str(picture), "--url", url)

    assert (result.exit_code, result.stderr.count("\n"), service.seen) == (3, 1, [])
    assert f"{picture}: " in result.stderr
    assert message in result.stderr


def test_no_service() -> None:
    """Without a service the line says how to start one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = run("--title", "mug", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert result.exit_code == 3
    assert "kembar serve" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--image", "nowhere.jpg"),
        ("--title", "mug", "--goal", "best"),
        ("--title", "mug", "--limit", "51"),
        ("--title", "mug", "--threshold", "2"),
        ("--title", "mug", "--url", "localhost"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """What cannot be asked is wrong usage: exit code 2, and the service is not asked."""
    assert run(*arguments).exit_code == 2
