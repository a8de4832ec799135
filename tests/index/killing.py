"""Stop a writing process at some point, and compare what is stored with what it had said."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from index.errors import UnknownPosting
from index.index import Index
from tests.index.killed_writer import vectors_at


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

    def compare(self, index: Index) -> list[str]:
        """The postings that are neither as acknowledged nor as a write under way would have them; then settles."""
        wrong = []
        for posting_id in sorted(set(self.acked) | set(self.possible)):
            state = stored_state(index, posting_id)
            allowed = [self.acked.get(posting_id, "gone"), *self.possible.get(posting_id, [])]
            if state not in allowed:
                wrong.append(f"{posting_id} is {state}, expected one of {allowed}")
            self.acked[posting_id] = state
            self.possible[posting_id] = []
        listed = {posting.posting_id for posting in index.scan(after=None, limit=1000)}
        there = {posting_id for posting_id, state in self.acked.items() if state != "gone"}
        return wrong + [f"{posting_id} is listed or found, not both" for posting_id in listed ^ there]


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


def write_until(
    directory: Path,
    *,
    first_version: int,
    acknowledged: int,
    ledger: Ledger,
    stop: Callable[[], None],
    how: str = "safe",
) -> None:
    """Let a process write, stop it after so many acknowledgements, and take in all that it said."""
    command = [sys.executable, "-m", "tests.index.killed_writer", str(directory), str(first_version), how]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the writing process did not start")
        until = ledger.acknowledgements + acknowledged
        for line in process.stdout:
            if line.endswith("\n"):  # the kill may cut the last line
                ledger.read(line)
            if ledger.acknowledgements == until:
                stop()
                process.kill()
