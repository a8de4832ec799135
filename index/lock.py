"""One process owns a data directory, for as long as it lives."""

import errno
import fcntl
import os
import time
from pathlib import Path

from index.errors import DirectoryUnusable, IndexFault, IndexLocked
from index.faults import file_faults

_LOCK_FILE = "lock"
_PID_WAIT_S = 0.2


class DirectoryLock:
    """An exclusive `flock`, which the kernel gives back when its owner dies, however it dies."""

    def __init__(self, directory: Path) -> None:
        """
        Take the lock.

        Raises:
            DirectoryUnusable: no directory, a symbolic link, or not writable.
            IndexLocked: another open index owns it; the message names its process.
            StorageFull, StorageFailed: its pid cannot be written.
        """
        if directory.is_symlink() or not directory.is_dir():
            raise DirectoryUnusable(f"expected a directory, not a file or a symbolic link: {directory}")
        try:
            self._descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise DirectoryUnusable(f"cannot write to {directory}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner = self._owner() if exc.errno == errno.EWOULDBLOCK else None
            os.close(self._descriptor)
            if owner is None:
                raise DirectoryUnusable(f"cannot lock {directory}: {exc.strerror}; use a local disk") from exc
            raise IndexLocked(f"{directory} is in use by process {owner}; stop it, or use another directory") from exc
        try:
            with file_faults(_LOCK_FILE):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        except IndexFault:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Give the directory to the next owner."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def _owner(self) -> str:
        # Between taking the lock and writing its pid the owner leaves the file empty for a moment.
        deadline = time.monotonic() + _PID_WAIT_S
        while not (owner := os.pread(self._descriptor, 32, 0).decode(errors="replace")):
            if time.monotonic() > deadline:
                return "unknown"
            time.sleep(0.005)
        return owner
