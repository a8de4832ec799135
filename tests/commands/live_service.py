"""The real application on a fake bundle, in a process of its own that a test may stop or kill."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_SERVE = """
import sys
from pathlib import Path
from service.app import build_app
from service.commands.server import Hooks, listen, run
from service.settings import Settings
from tests.service.fake_bundle import fake_bundle

port, data_dir = int(sys.argv[1]), Path(sys.argv[2])
app = build_app(Settings(data_dir=data_dir), lambda *_: fake_bundle())
hooks = Hooks(lambda address: print(address, flush=True), app.state.admission.drain, lambda: False)
run(app, listen("127.0.0.1", port), 10, hooks)
"""


@dataclass
class LiveService:
    """A service that keeps its port and its data over restarts."""

    data_dir: Path
    port: int
    process: subprocess.Popen[str] | None = field(default=None)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it serves."""
        command = [sys.executable, "-c", _SERVE, str(self.port), str(self.data_dir)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == self.url

    def end(self, number: signal.Signals) -> int:
        """End it by a signal and give its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        self.process.stdout.close()
        return code


@contextmanager
def live_service(data_dir: Path) -> Iterator[LiveService]:
    """A running service."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        service = LiveService(data_dir, free.getsockname()[1])
    service.start()
    try:
        yield service
    finally:
        if service.process is not None and service.process.returncode is None:
            service.end(signal.SIGKILL)
