"""Processes killed in the middle of writing, and what is there afterwards."""

import random
from pathlib import Path

from tests.index.conftest import OpenIndex
from tests.index.killing import Ledger, write_until

KILLS = 10


def test_a_killed_process_loses_no_acknowledged_write(data_dir: Path, open_index: OpenIndex) -> None:
    """After kill -9 at any moment each posting is as last acknowledged, or as a write then under way would have it."""
    draws = random.Random(11)
    ledger = Ledger()
    for kill in range(KILLS):
        write_until(
            data_dir,
            first_version=kill * 1_000_000,
            acknowledged=draws.randrange(1, 300),
            ledger=ledger,
            stop=lambda: None,
        )
        index = open_index()
        assert ledger.compare(index) == [], f"kill {kill}"
        index.close()
