"""An index per test, opened as often as the test likes."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from index.index import Index
from index.tuning import TUNING, Tuning
from tests.index.oracle import DIMENSIONS, WEIGHTS

OpenIndex = Callable[..., Index]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory where there is some: what reaches the disk is told by the power cuts, which bring a disk of theirs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="kembar-") as place:
        yield Path(place)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the index of a test lives."""
    return tmp_path / "index"


@pytest.fixture
def open_index(data_dir: Path) -> Iterator[OpenIndex]:
    """Open the index of the test's directory; whatever is still open at the end is closed."""
    opened: list[Index] = []

    def open_(
        path: Path = data_dir,
        *,
        dimensions: Mapping[str, int] = DIMENSIONS,
        weights: Mapping[str, float] = WEIGHTS,
        encoder_id: str = "sha256:one",
        accept_loss: bool = False,
        tuning: Tuning = TUNING,
    ) -> Index:
        index = Index.open(
            path,
            encoder_id=encoder_id,
            dimensions=dimensions,
            weights=weights,
            accept_loss=accept_loss,
            tuning=tuning,
        )
        opened.append(index)
        return index

    yield open_
    for index in opened:
        index.close()
