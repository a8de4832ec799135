"""Processes killed in the middle of writing, and what is there afterwards."""

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from index.errors import UnknownPosting
from index.index import Index
from tests.index.conftest import OpenIndex
from tests.index.killed_writer import vectors_at

KILLS = 10


@dataclass
class Ledger:
    """Per posting the state last acknowledged, and those that were asked for after it and may have happened."""

    acked: dict[str, str] = field(default_factory=dict)
    possible: dict[str, list[str]] = field(default_factory=dict)
    acknowledgements: int = 0

    def read(self, line: str) -> None:
        kind, posting_id, state = line.split()
        if kind == "intend":
            self.possible.setdefault(posting_id, []).append(state)
            return
        self.acked[posting_id] = state
        self.possible[posting_id] = []
        self.acknowledgements += 1

    def settle(self, posting_id: str, state: str) -> None:
        self.acked[posting_id] = state
        self.possible[posting_id] = []


def test_a_killed_process_loses_no_acknowledged_write(data_dir: Path, open_index: OpenIndex) -> None:
    """After kill -9 at any moment each posting is as last acknowledged, or as a write then under way would have it."""
    draws = random.Random(11)
    ledger = Ledger()
    for kill in range(KILLS):
        run_and_kill(data_dir, first_version=kill * 1_000_000, after=draws.randrange(1, 300), ledger=ledger)
        index = open_index(data_dir, encoder_id="one")
        for posting_id in sorted(set(ledger.acked) | set(ledger.possible)):
            state = stored_state(index, posting_id)
            allowed = [ledger.acked.get(posting_id, "gone"), *ledger.possible.get(posting_id, [])]
            assert state in allowed, f"kill {kill}: {posting_id} is {state}, expected one of {allowed}"
            ledger.settle(posting_id, state)
        assert {posting.posting_id for posting in index.scan(after=None, limit=1000)} == {
            posting_id for posting_id, state in ledger.acked.items() if state != "gone"
        }
        index.close()


def stored_state(index: Index, posting_id: str) -> str:
    """The version that is stored, whole: row, vectors and FAISS tell the same."""
    try:
        posting = index.get(posting_id)
    except UnknownPosting:
        return "gone"
    version = int(posting.title or "")
    expected = vectors_at(posting_id, version)
    assert posting.metadata == {"v": version}
    assert posting.views == tuple(sorted(expected))
    for view, vector in expected.items():
        np.testing.assert_array_equal(posting.vectors[view], vector.astype(np.float16))
    if version % 3:
        assert index.picture(posting_id).startswith(b"picture ")
    hits = index.search(expected, k=1, floors=lambda views: 1.0)
    assert posting_id in {hit.posting.posting_id for hit in hits}
    return str(version)


def run_and_kill(data_dir: Path, *, first_version: int, after: int, ledger: Ledger) -> None:
    """Let a process write, kill it after so many acknowledgements, and take in all that it said."""
    command = [sys.executable, "-m", "tests.index.killed_writer", str(data_dir), str(first_version)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the writing process did not start")
        until = ledger.acknowledgements + after
        for line in process.stdout:
            if line.endswith("\n"):  # the kill may cut the last line
                ledger.read(line)
            if ledger.acknowledgements == until:
                process.kill()
