"""A data directory: made durably, and owned by one process for as long as it lives."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index.errors import DirectoryUnusable, IndexLocked
from index.faults import file_faults

_LOCK_FILE = "lock"
_PID_WAIT_S = 0.2


@contextmanager
def own_directory(directory: Path) -> Iterator[None]:
    """
    Hold an exclusive `flock`, which the kernel gives back when its owner dies, however it dies.

    Raises:
        DirectoryUnusable: no directory, a symbolic link, or not writable.
        IndexLocked: another open index owns it; the message names its process.
        StorageFull, StorageFailed: its pid cannot be written.
    """
    if directory.is_symlink() or not directory.is_dir():
        raise DirectoryUnusable(f"expected a directory, not a file or a symbolic link: {directory}")
    try:
        descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise DirectoryUnusable(f"cannot write to {directory}: {exc.strerror}") from exc
    try:
        _lock(descriptor, directory)
        with file_faults(_LOCK_FILE):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make the directory, if it is not there; raises DirectoryUnusable."""
    if path.is_dir():
        return
    try:
        path.mkdir(parents=True, exist_ok=True)  # another may have made it this moment
        sync_path(path.parent)
    except OSError as exc:
        raise DirectoryUnusable(f"cannot make the directory {path}: {exc.strerror}; choose another place") from exc


def sync_path(path: Path) -> None:
    """Bring a file, or the names of files in a directory, to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        owner = _owner(descriptor)
        raise IndexLocked(f"{directory} is in use by process {owner}; stop it, or use another directory") from exc
    except OSError as exc:
        raise DirectoryUnusable(f"cannot lock {directory}: {exc.strerror}; use a local disk") from exc


def _owner(descriptor: int) -> str:
    # Between taking the lock and writing its pid the owner leaves the file empty for a moment.
    deadline = time.monotonic() + _PID_WAIT_S
    while not (owner := os.pread(descriptor, 32, 0).decode(errors="replace")):
        if time.monotonic() > deadline:
            return "unknown"
        time.sleep(0.005)
    return owner
