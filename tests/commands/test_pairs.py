"""`kembar pairs` against the real application: the pairs that brute force over the stored vectors finds, each once."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kembar_client import Kembar, Put, requests
from kembar_client.answers import Posting, PostingPage
from service.commands import pair_walk
from service.commands import pairs as pairs_command
from service.commands.main import main
from service.commands.pair_walk import PairWalk
from tests.commands.live_service import LiveService, live_service
from tests.service.conftest import jpeg
from tests.service.fake_bundle import THRESHOLDS, WEIGHTS

Pair = tuple[str, str]


def puts() -> Iterator[Put]:
    """A group of 70 that resemble each other more or less, a group of 55 of one picture, and a few of their own."""
    words = [*("amber", "basil", "cedar", "dune", "ember", "fjord", "grove"), *("heath", "islet", "jetty", "kelp")]
    for number in range(70):
        others = " ".join(words[(number * step) % len(words)] for step in (1, 2, 3))
        yield Put(f"g{number:02}", f"steel mug handle lid large family kitchen {others}", None, {"shop": "one"})
    for number in range(55):
        yield Put(f"p{number:02}", f"{words[number % 11]} {words[number % 7]}", jpeg(1), {"shop": "two"})
    for number in range(30):
        yield Put(f"é{number:02}", f"{words[number % 11]} {number // 2}", jpeg(2 + number // 3) if number % 2 else None)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service that holds them."""
    with live_service(tmp_path_factory.mktemp("pairs") / "data") as live:
        with Kembar(live.url) as kembar:
            assert {answer.status for answer in kembar.bulk(puts())} == {201}
        yield live


@pytest.fixture(scope="module")
def postings(service: LiveService) -> list[Posting]:
    """What the service holds, with the stored vectors."""
    with Kembar(service.url) as kembar:
        return list(kembar.scan(with_vectors=True))


def judged(a: Posting, b: Posting, goal: str) -> tuple[float, float] | None:
    """Probability and score of two postings that match, in plain arithmetic."""
    assert a.vectors is not None
    assert b.vectors is not None
    shared = [view for view in ("image", "title") if view in a.vectors and view in b.vectors]
    cosines = {}
    for view in shared:
        left, right = np.array(a.vectors[view]), np.array(b.vectors[view])
        cosines[view] = round(float(left @ right / np.sqrt((left @ left) * (right @ right))), 6)
    if not shared:
        return None
    total = sum(WEIGHTS[view] for view in shared)  # type: ignore[index]  # View is a str
    score = round(sum(WEIGHTS[view] * one for view, one in cosines.items()) / total, 6)  # type: ignore[index]
    if score < THRESHOLDS["+".join(shared)][goal]:  # type: ignore[index]  # Goal is a str
        return None
    knee = 0.25 if shared == ["image"] else 0.5
    return float(np.interp(score, (0, 0.5, 1), (0, knee, 1))), score


def brute_force(postings: list[Posting], goal: str = "balanced") -> dict[Pair, tuple[float, float]]:
    """All pairs that match, smaller id first."""
    return {
        (a.posting_id, b.posting_id): evidence
        for a in postings
        for b in postings
        if a.posting_id.encode() < b.posting_id.encode() and (evidence := judged(a, b, goal))
    }


@pytest.fixture(scope="module")
def balanced(postings: list[Posting]) -> dict[Pair, tuple[float, float]]:
    """The pairs at the default goal."""
    return brute_force(postings)


def run(service: LiveService, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["pairs", "--url", service.url, "--json", *arguments])


def told(lines: bytes) -> dict[Pair, tuple[float, float]]:
    """The pairs of an output, of which none may be there twice."""
    rows = [json.loads(line) for line in lines.splitlines()]
    pairs = {(row["a"], row["b"]): (row["probability"], row["score"]) for row in rows}
    assert len(pairs) == len(rows)
    return pairs


@pytest.mark.parametrize("goal", ["balanced", "recall_90"])
def test_every_pair_once(
    service: LiveService, postings: list[Posting], goal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pair is there once, smaller id first, also in groups that are larger than one answer."""
    monkeypatch.setattr(pairs_command, "PAGE", 13)
    expected = brute_force(postings, goal)
    result = run(service, "--goal", goal)
    pairs = told(result.stdout_bytes)

    assert result.exit_code == 0
    assert pairs.keys() == expected.keys()
    assert all(pairs[pair] == pytest.approx(expected[pair], abs=2e-6) for pair in pairs)
    summary = json.loads(result.stderr)
    assert (summary["pairs"], summary["postings"], summary["cut_lists"]) == (len(expected), 155, 0)
    assert len(expected) > 55 * 54 / 2  # the group of one picture is larger than an answer


def test_the_question_is_passed_on(service: LiveService, postings: list[Posting]) -> None:
    """Threshold and filter choose the pairs; the evidence is whole."""
    exact = told(run(service, "--threshold", "1", "--filter", '{"shop": "two"}').stdout_bytes)
    first = json.loads(run(service, "--threshold", "1").stdout.splitlines()[0])

    mugs = [one for one in postings if one.metadata.get("shop") == "two"]
    assert exact.keys() == {pair for pair, (_, score) in brute_force(mugs).items() if score == 1}
    assert list(first) == [
        *("a", "b", "probability", "score", "threshold", "views", "goal_supported", "variant_conflict"),
        *("image_score", "title_score", "lexical_score"),
    ]


def test_broken_off_again_and_again(
    service: LiveService, balanced: dict[Pair, tuple[float, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the middle of every second page, it goes on each time, and the file ends up the same, at once."""
    monkeypatch.setattr(pairs_command, "PAGE", 10)
    out, partial = tmp_path / "pairs.ndjson", tmp_path / "pairs.ndjson.partial"
    ask, calls, codes = PairWalk._matches_of, 0, []

    def interrupted(self: PairWalk, posting_id: str) -> object:
        nonlocal calls
        calls += 1
        if calls % 25 == 0:
            raise KeyboardInterrupt
        return ask(self, posting_id)

    monkeypatch.setattr(PairWalk, "_matches_of", interrupted)
    while not out.exists():
        result = run(service, "--out", str(out))
        codes.append(result.exit_code)
        if partial.exists():
            with partial.open("ab") as file:
                file.write(b'{"a": "half a line')

    assert told(out.read_bytes()).keys() == balanced.keys()
    assert len(codes) > 5
    assert (set(codes[:-1]), codes[-1]) == ({130}, 0)
    assert "Going on after " in result.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.ndjson"]


@pytest.mark.parametrize(("number", "code", "line"), [(signal.SIGKILL, -9, ""), (signal.SIGTERM, 143, "Stopped. What")])
def test_killed_in_the_middle(
    service: LiveService,
    balanced: dict[Pair, tuple[float, float]],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    line: str,
) -> None:
    """Killed or ended in the middle, the same command goes on, and every pair is there once."""
    out, progress = tmp_path / "pairs.ndjson", tmp_path / "pairs.ndjson.progress"
    script = (
        "from time import sleep; from service.commands import pairs; from service.commands.main import main;"
        "pairs.PAGE = 10; keep = pairs._keep; pairs._keep = lambda *of: (keep(*of), sleep(0.05)); main()"
    )
    command = [sys.executable, "-c", script, "pairs", "--url", service.url, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not progress.exists() or json.loads(progress.read_bytes())["postings"] < 40:
            time.sleep(0.01)
        second = run(service, "--out", str(out))
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    result = run(service, "--out", str(out))

    assert (second.exit_code, "another run is writing" in second.stderr) == (3, True)
    assert process.returncode == code
    assert err.startswith(line)
    assert result.exit_code == 0
    assert "Going on after" in result.stderr
    assert told(out.read_bytes()).keys() == balanced.keys()


def test_another_question_is_not_mixed_in(
    service: LiveService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unfinished run of another question, or a progress that is none, is named with --restart, which begins anew."""
    out, progress = tmp_path / "pairs.ndjson", tmp_path / "pairs.ndjson.progress"
    monkeypatch.setattr(pairs_command, "PAGE", 10)
    with monkeypatch.context() as broken:
        broken.setattr(pair_walk, "_line", lambda small, *_: b"\n" if small < "g3" else 1 / 0)
        run(service, "--out", str(out))

    other = run(service, "--out", str(out), "--goal", "precision_99", "--filter", '{"shop": "one"}')
    kept = progress.read_bytes()
    progress.write_bytes(kept.replace(b"sha256:finger", b"sha256:other"))
    model = run(service, "--out", str(out))
    progress.write_bytes(b"{")
    broken_progress = run(service, "--out", str(out))
    anew = run(service, "--out", str(out), "--goal", "precision_99", "--restart")

    assert [one.exit_code for one in (other, model, broken_progress, anew)] == [3, 3, 3, 0]
    assert "unfinished run with another goal, filter: " in other.stderr
    assert "unfinished run with another model: " in model.stderr
    assert all("--restart" in one.stderr and one.stderr.count("\n") == 1 for one in (other, model, broken_progress))
    assert told(out.read_bytes()) == told(run(service, "--goal", "precision_99").stdout_bytes)


def test_a_posting_that_goes_meanwhile_is_counted(service: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A posting that was deleted between the listing and its turn is left out and counted, and a person reads it."""
    listing = requests.listing

    def too_late(self: Kembar, *, cursor: str | None, limit: int, where: requests.Where | None) -> PostingPage:
        page = self.send(listing(cursor=cursor, limit=limit, where=where))
        gone = page.postings[0].model_copy(update={"posting_id": "gone"})
        return page.model_copy(update={"postings": (gone, *page.postings)})

    monkeypatch.setattr(Kembar, "listing", too_late)
    result = CliRunner().invoke(main, ["pairs", "--url", service.url, "--threshold", "0.6"])

    assert result.exit_code == 0
    assert re.fullmatch(
        r"[1-9][0-9,]+ pairs among 156 postings in [0-9.]+ s; 1 were deleted meanwhile\n", result.stderr
    )


def test_more_matches_than_can_be_asked_for(service: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A posting with more matches than the service lets anybody ask for is counted, and a person reads what to do."""
    monkeypatch.setattr(pair_walk, "MOST", 49)
    result = CliRunner().invoke(main, ["pairs", "--url", service.url, "--threshold", "0.6"])

    assert re.search(r"^[1-9][0-9]+ postings have more than .* A higher --threshold has fewer\.$", result.stderr, re.M)


@pytest.mark.parametrize(
    "arguments",
    [("--goal", "balanced", "--threshold", "0.5"), ("--filter", "[]"), ("--filter", '{"a": []}'), ("--filter", "{")],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """What cannot be asked is exit code 2, with what was expected."""
    assert CliRunner().invoke(main, ["pairs", *arguments]).exit_code == 2
