"""A server under test: started, stopped and looked at from outside, as an operator does."""

import http.client
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_START_LIMIT_S = 900.0


class Server:
    """One process on one port of the loopback; `ready_path` answers 200 once it takes work."""

    def __init__(self, command: Sequence[str | Path], port: int, ready_path: str, log: Path) -> None:
        self._command, self._port, self._ready_path, self._log = command, port, ready_path, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        if self._process is None:
            raise RuntimeError("expected a running server, got none; call start first")
        return self._process.pid

    def start(self) -> float:
        """Start, and wait until it takes work; seconds that took. Raises SystemExit where it ends instead."""
        start = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while not self._is_ready():
            if self._process.poll() is not None or time.perf_counter() - start > _START_LIMIT_S:
                raise SystemExit(f"{self._command[0]}: not ready; {self._log} says why")
            time.sleep(0.02)
        return time.perf_counter() - start

    def stop(self) -> None:
        """End as an operator does, or find it ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(120)
            self._process = None

    def anonymous_mib(self) -> float:
        """Anonymous memory of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("RssAnon:")[1].split()[0]) / 1024

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", self._ready_path)
            return connection.getresponse().status == 200
        return False


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
