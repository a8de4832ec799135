"""
Every command and every Python line of the docs is run, or says why not.

The blocks of a page run in order, in a folder of the page's own: `.venv`, `bundles` and the sample of `make run` are
there, `data` is a stopped service's, and 127.0.0.1:8080 is a real service with the shipped bundle. The comment
`<!-- not run: reason -->` on the line before a block leaves it out.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import Block, blocks
from tests.docs.test_docs import NAMES, PAGES, ROOT

VENV = Path(sys.executable).parents[1]
SAMPLE = ".cache/sample"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a newcomer has after `make run`: the environment, the bundles, the sample and a data directory with it."""
    desk = tmp_path_factory.mktemp("desk")
    for name, target in ((".venv", VENV), ("bundles", ROOT / "bundles"), ("deploy", ROOT / "deploy")):
        (desk / name).symlink_to(target)
    run = [VENV / "bin/kembar-train", "sample", "--out", SAMPLE, "--products", "12", "--seed", "7"]
    subprocess.run(run, cwd=desk, check=True, capture_output=True)
    # What the pages call your own catalogue.
    shutil.copy(desk / SAMPLE / "postings.csv", desk / "postings.csv")
    shutil.copytree(desk / SAMPLE / "images", desk / "pictures")
    shutil.copy(next((desk / "pictures").iterdir()), desk / "photo.jpg")
    process, address = serve(desk)
    load = [VENV / "bin/kembar", "import", "postings.csv", "--images", "pictures", "--url", address]
    subprocess.run(load, cwd=desk, check=True, capture_output=True)
    stop(process)
    return desk


@pytest.fixture(scope="module")
def address(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the service listens that the pages talk to."""
    served = tmp_path_factory.mktemp("served")
    shutil.copytree(desk, served, symlinks=True, dirs_exist_ok=True)
    process, address = serve(served)
    yield address
    stop(process)


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    command = [VENV / "bin/kembar", "serve", "--port", "0", "--data-dir", "data", "--bundle", "bundles/demo"]
    command += ["--log-level", "error"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split(" at ")[1].split()[0]


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_shown_is_run(
    page: Path, desk: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page do what they show, one after the other."""
    shown = [block for block in blocks(page) if block.language in ("sh", "python") and block.not_run is None]
    if not shown:
        return
    shutil.copytree(desk, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in shown:
        text = block.text.replace("http://127.0.0.1:8080", address)
        if block.language == "python":
            exec(compile(text, f"{page.name}:{block.line}", "exec"), names)
        else:
            run_shell(block, text, address)


def run_shell(block: Block, text: str, address: str) -> None:
    # A curl of the pages shows a refusal too; here it is a fault.
    script = 'set -euo pipefail; curl() { command curl --silent --show-error --fail-with-body "$@"; echo; };\n' + text
    ended = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "KEMBAR_URL": address, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, f"{block.page.name}:{block.line}\n{ended.stdout[-2000:]}\n{ended.stderr[-2000:]}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_not_run_says_where_it_is(page: Path) -> None:
    """A reason is a sentence; where it names a file of the project, that file is there."""
    for block in blocks(page):
        if block.not_run is not None:
            assert len(block.not_run.split()) >= 3, block.not_run
            for word in block.not_run.replace(",", " ").replace(";", " ").split():
                assert "/" not in word or (ROOT / word).exists(), word
