"""Processes killed in the middle of writing, and what is there afterwards."""

import random
from pathlib import Path

import pytest

from tests.index.conftest import OpenIndex
from tests.index.killed_writer import TUNINGS
from tests.index.killing import Ledger, write_until

KILLS = 10


@pytest.mark.parametrize("how", ["safe", "busy"])
def test_a_killed_process_loses_no_acknowledged_write(data_dir: Path, open_index: OpenIndex, how: str) -> None:
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
            how=how,
        )
        index = open_index(tuning=TUNINGS[how])
        assert ledger.compare(index) == [], f"kill {kill}"
        index.close()
