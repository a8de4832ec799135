"""How often a process forces what it wrote to the disk: what `kill -9` cannot tell, and a power cut would."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SYNCS = "trace=fsync,fdatasync,sync_file_range,msync"


def watched(log: Path) -> list[str | Path]:
    """What to put before a command so that its forced writes are logged; nothing where strace is not there."""
    found = shutil.which("strace")
    return [found, "-f", "-qq", "-e", _SYNCS, "-o", log] if found else []


@contextmanager
def watching(pid: int, log: Path) -> Iterator[None]:
    """Log the forced writes of a running process meanwhile, where strace can."""
    watch = watched(log)
    if not watch:
        yield
        return
    watcher = subprocess.Popen([*watch, "-p", str(pid)], stderr=subprocess.DEVNULL)
    time.sleep(1)  # until it has taken hold of every thread
    if watcher.poll() is not None:
        log.unlink(missing_ok=True)  # it may not look into other processes here
    yield
    watcher.send_signal(signal.SIGINT)
    watcher.wait(30)


def count_syncs(log: Path) -> int | None:
    """The forced writes in a log, one that was interrupted counting once; None where there is no log."""
    if not log.exists():
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum("sync" in line and "resumed>" not in line for line in lines)
