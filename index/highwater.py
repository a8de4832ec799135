"""The high-water mark: how far the index had acknowledged, kept apart from the database so that a lost tail shows."""

import os
import zlib
from pathlib import Path

HIGH_WATER = "high-water"
_MAGIC = b"KMBRHW01"
_BYTES = 20


class HighWater:
    """
    The sequence number of the last group commit, in a file of 20 bytes that is overwritten in place.

    It is written after the commit it tells of, so it is never ahead of an intact database. It survives a killed
    process at once and a power cut as of the last `sync`.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def read(self) -> int | None:
        """The sequence number, or None where the file is new or damaged."""
        return _decoded(os.pread(self._descriptor, _BYTES, 0))

    def write(self, sequence: int) -> None:
        """Record a committed sequence number; raises OSError."""
        os.pwrite(self._descriptor, _encoded(sequence), 0)

    def sync(self) -> None:
        """Bring the mark to the disk; raises OSError."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def recorded_mark(directory: Path) -> int | None:
    """What a stopped index's file says, without making it; None where it is missing or damaged."""
    path = directory / HIGH_WATER
    return _decoded(path.read_bytes()[:_BYTES]) if path.is_file() else None


def _encoded(sequence: int) -> bytes:
    body = _MAGIC + sequence.to_bytes(8, "little")
    return body + zlib.crc32(body).to_bytes(4, "little")


def _decoded(data: bytes) -> int | None:
    sequence = int.from_bytes(data[8:16], "little")
    return sequence if data == _encoded(sequence) else None
