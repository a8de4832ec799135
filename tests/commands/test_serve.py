"""`kembar serve`: a start that cannot be is one line that says what to do, and its exit code says which kind it is."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from starlette.applications import Starlette

from index.index import Index
from index.postings import Draft
from service.app import build_app
from service.commands import serve
from service.commands.main import main
from service.commands.server import Hooks
from service.settings import Settings
from tests.service.fake_bundle import TITLE_DIMENSION, fake_bundle


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command configures the logs of its process, which here is everybody's."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def _fake_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any --bundle is the fake one."""
    monkeypatch.setattr(serve, "create_app", lambda settings: build_app(settings, lambda *_: fake_bundle()))


def run(*arguments: str, **environment: str) -> Result:
    env: dict[str, str | None] = dict(environment)
    return CliRunner().invoke(main, ["serve", "--port", "0", *arguments], env=env)


def stored(data_dir: Path, encoder_id: str) -> Index:
    """An index with one posting."""
    bundle = fake_bundle()
    index = Index.open(data_dir, encoder_id=encoder_id, dimensions=bundle.dimensions, weights=bundle.decision.weights)
    title = np.zeros(TITLE_DIMENSION, np.float32)
    title[0] = 1
    index.put(Draft("m1", "Mug", {}, {"title": title}, None, None)).result()
    return index


def told_once(result: Result) -> str:
    """The one line on stderr that is no log."""
    told = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(told) == 1
    assert "Traceback" not in result.output
    return told[0]


def test_no_bundle(tmp_path: Path) -> None:
    """Without a bundle the line names the file that was looked for, exit code 3."""
    result = run("--bundle", str(tmp_path / "nowhere"), "--data-dir", str(tmp_path / "data"))

    assert result.exit_code == 3
    assert f"{tmp_path / 'nowhere'}" in told_once(result)


@pytest.mark.usefixtures("_fake_bundle")
def test_a_directory_in_use(tmp_path: Path) -> None:
    """A data directory that another process owns is refused, naming that process."""
    index = stored(tmp_path, "sha256:fake")
    try:
        result = run("--data-dir", str(tmp_path))
    finally:
        index.close()

    assert result.exit_code == 3
    assert f"in use by process {os.getpid()}" in told_once(result)


@pytest.mark.usefixtures("_fake_bundle")
def test_other_encoders(tmp_path: Path) -> None:
    """An index made with other encoders is refused, naming both."""
    stored(tmp_path, "sha256:other").close()

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 3
    assert "sha256:other" in (line := told_once(result))
    assert "sha256:fake" in line


@pytest.mark.usefixtures("_fake_bundle")
def test_missing_rows(tmp_path: Path) -> None:
    """Acknowledged rows that are gone stop the start, and the line names the option to go on without them."""
    stored(tmp_path, "sha256:fake").close()
    for file in tmp_path.glob("postings.sqlite*"):
        file.unlink()

    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 3
    assert "--accept-loss" in told_once(result)


def test_a_port_in_use_comes_first(tmp_path: Path) -> None:
    """A port in use is exit code 4, found before anything is loaded; the port may come from the environment."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        by_option = run("--port", port, "--bundle", str(tmp_path))
        by_environment = CliRunner().invoke(main, ["serve", "--bundle", str(tmp_path)], env={"KEMBAR_PORT": port})

    assert by_option.exit_code == by_environment.exit_code == 4
    assert f"port {port} of 127.0.0.1 is in use" in told_once(by_option)
    assert f"port {port} of 127.0.0.1 is in use" in told_once(by_environment)


@pytest.mark.usefixtures("_fake_bundle")
def test_a_disk_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk failed under a running service, the process ends with exit code 1 and says where to look."""

    def run_into_a_fault(app: Starlette, listener: socket.socket, stop_seconds: int, hooks: Hooks) -> None:
        assert not hooks.must_stop()
        app.state.admission.fail()
        assert hooks.must_stop()

    monkeypatch.setattr(serve, "run", run_into_a_fault)
    result = run("--data-dir", str(tmp_path))

    assert result.exit_code == 1
    assert "the disk failed under a write" in told_once(result)


@pytest.mark.usefixtures("_fake_bundle")
@pytest.mark.parametrize(
    ("options", "line"),
    [((), "Kembar is ready at http://a (Ctrl-C stops it)\n"), (("--json",), '{"address": "http://a"}\n')],
)
def test_the_ready_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], line: str) -> None:
    """Where it listens is one line on stdout, for a person or for a program."""

    def listens(_app: Starlette, _listener: socket.socket, _stop_seconds: int, hooks: Hooks) -> None:
        hooks.started("http://a")

    monkeypatch.setattr(serve, "run", listens)
    assert run("--data-dir", str(tmp_path / "data"), *options).stdout == line


def test_wrong_settings() -> None:
    """A setting that cannot be is wrong usage, named as the option and told with what is allowed."""
    result = run("--threads", "999", "--log-level", "loud", KEMBAR_STOP_SECONDS="soon")

    assert result.exit_code == 2
    for name in ("--threads", "--log-level", "--stop-seconds"):
        assert f"{name}: Input should be" in result.stderr


def test_every_setting_is_an_option() -> None:
    """Each setting can be given on the command line and in the environment, and help says both."""
    help_text = " ".join(CliRunner().invoke(main, ["serve", "--help"]).stdout.split())

    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')} " in help_text
        assert f"KEMBAR_{name.upper()}]" in help_text
