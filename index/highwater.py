"""The high-water mark: how far the index had acknowledged, kept apart from the database so that a lost tail shows."""

import os
import struct
import zlib
from pathlib import Path

_FORMAT = struct.Struct("<8sQ")
_CRC = struct.Struct("<I")
_MAGIC = b"KMBRHW01"


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
        data = os.pread(self._descriptor, _FORMAT.size + _CRC.size, 0)
        if len(data) != _FORMAT.size + _CRC.size:
            return None
        magic, sequence = _FORMAT.unpack_from(data)
        (crc,) = _CRC.unpack_from(data, _FORMAT.size)
        return int(sequence) if magic == _MAGIC and crc == zlib.crc32(data[: _FORMAT.size]) else None

    def write(self, sequence: int) -> None:
        """Record a committed sequence number; raises OSError."""
        body = _FORMAT.pack(_MAGIC, sequence)
        os.pwrite(self._descriptor, body + _CRC.pack(zlib.crc32(body)), 0)

    def sync(self) -> None:
        """Bring the mark to the disk; raises OSError."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def recorded_mark(path: Path) -> int | None:
    """What the file at `path` says, without making it; None where it is missing or damaged."""
    if not path.is_file():
        return None
    high_water = HighWater(path)
    try:
        return high_water.read()
    finally:
        high_water.close()
