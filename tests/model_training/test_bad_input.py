"""Bad input, a full disk and interruptions, met as a person meets them: by the command."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model_training.commands import main
from model_training.row_cache import RowCache
from service.bundle.bundle import Bundle, load_bundle
from tests.model_training.conftest import ROWS
from tests.model_training.train_command import COMMAND, OFFLINE, training

REASONS = (
    "broken-picture): picture broken.jpg left out: ",
    "row {1} left out: its picture was all it had",
    "row {2} (posting no-picture) left out: picture file missing: nowhere.jpg",
    "row {3} (posting blank) left out: neither picture nor title",
    "row {4} (posting nothing-to-see) left out: expected a title, got nothing visible; leave the title out",
    "row {5} (posting broken-picture) left out: posting_id is already in row {0}",
    "row {8} (posting None) left out: expected 5 fields, found 2",
    "5 rows left out",
)


@pytest.mark.parametrize("reason", REASONS)
def test_a_bad_row_is_told_by_row_and_file_and_the_rest_goes_on(
    trained: tuple[Path, subprocess.CompletedProcess[str]], shop: Path, reason: str
) -> None:
    """Each bad row of the catalogue has its line; the bundle is there all the same."""
    last = len((shop / "postings.csv").read_text(encoding="utf-8-sig").splitlines())
    numbers = range(last - len(ROWS) + 1, last + 1)
    assert [line for line in trained[1].stderr.splitlines() if reason.format(*numbers) in line] != []


FILES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "semicolons": (lambda text: text.replace(",", ";").encode(), "expected a comma between columns, found a semicolon"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "expected a comma between columns, found a tab"),
    "UTF-16": (lambda text: text.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "UTF-16 unmarked": (lambda text: text.encode("utf-16-le"), "is UTF-16: save it as UTF-8"),
    "Windows": (lambda text: text.encode("cp1252"), r"is not UTF-8 (byte 0xe9 in line 2): save it as UTF-8"),
    "empty": (lambda _: b"", "starts with no header: expected columns posting_id, image, title"),
    "no column": (lambda _: b"sku,title\n1,Mug\n", "expected columns posting_id and image or title, found sku, title"),
    "header only": (lambda text: text[: text.index("\n") + 1].encode(), "expected postings, found no usable row"),
    "all alone": (lambda text: text.encode(), "expected at least 10 groups of two or more postings, found 0"),
}


@pytest.mark.parametrize("name", FILES)
def test_an_unusable_file_is_told_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Delimiter, encoding, header or groups: one line with the file and the cure, and nothing where a bundle goes."""
    make, reason = FILES[name]
    text = "posting_id,title,label_group\n" + "".join(f"p{n},Café {n},{n}\n" for n in range(30))
    (tmp_path / "postings.csv").write_bytes(make(text))
    (tmp_path / "images").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main(training_of(tmp_path), standalone_mode=False)
    assert str(stopped.value).startswith(f"kembar-train: {tmp_path / 'postings.csv'}")
    assert reason in str(stopped.value)
    assert len(str(stopped.value).splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def training_of(folder: Path) -> list[str]:
    return [str(part) for part in training(folder, folder / "out" / "bundle", folder / "cache")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_told_before_the_work(shop: Path, small_disk: Path, tmp_path: Path) -> None:
    """Where features have no room the command stops with file and size, instead of dying at a write to a hole."""
    with pytest.raises(SystemExit, match=r"room for 3\.\d MB.*No space left on device.*rows\.npy.*make room"):
        main([str(part) for part in training(shop, tmp_path / "out" / "bundle", small_disk)], standalone_mode=False)
    assert list((tmp_path / "out").iterdir()) == []
    store = RowCache(small_disk / "fits", rows=100, shape=(1000,), dtype=np.uint8)
    assert (store.array.shape, [path.name for path in small_disk.rglob("*.new")]) == ((100, 1000), [])


def test_a_broken_run_goes_on_and_ends_the_same(bundle: Bundle, shop: Path, tmp_path: Path) -> None:
    """Stopped, killed, then left alone: no epoch is done twice, nothing half-written, and the bundle to the byte."""
    command = [COMMAND, *training(shop, tmp_path / "out" / "bundle", tmp_path / "cache")]
    stopped = break_off(command, "picture learner: epoch 1", signal.SIGTERM)
    assert (stopped[0], stopped[1][-1]) == (
        130, "kembar-train: stopped; the same command goes on from the last checkpoint",
    )  # fmt: skip
    assert list((tmp_path / "out").iterdir()) == []
    killed = break_off(command, "title learner: epoch 1", signal.SIGKILL)
    assert [line for line in killed[1] if "picture learner: epoch 1" in line] == []
    assert not (tmp_path / "out" / "bundle").exists()
    done = subprocess.run(command, capture_output=True, text=True, env=OFFLINE, check=True, timeout=170)
    assert [line for line in done.stderr.splitlines() if "epoch 1" in line] == []
    assert load_bundle(tmp_path / "out" / "bundle", threads=1).fingerprint == bundle.fingerprint


def break_off(command: list[str | Path], at: str, how: signal.Signals) -> tuple[int, list[str]]:
    """Send a signal once the command has said something; what it returned, and all that it said."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=OFFLINE) as run:
        said = []
        for line in run.stderr or ():
            said.append(line.rstrip("\n"))
            if at in line:
                run.send_signal(how)
        return run.wait(), said
