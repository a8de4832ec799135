"""The pictures that postings keep, in a database of their own: losing it loses no match."""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

import apsw

from index.errors import CorruptRow, DatabaseDamaged, PictureNotKept, StorageFailed
from index.faults import sqlite_faults
from index.sqlite import open_database, open_reader

DATABASE = "pictures.sqlite"
APPLICATION_ID = 0x4B4D4249  # "KMBI"
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE picture (
    image_digest BLOB NOT NULL,
    checksum BLOB NOT NULL,
    picture BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX picture_by_image ON picture (image_digest);
"""
logger = logging.getLogger(__name__)


class Pictures:
    """Pictures by the digest of their upload: postings that share a picture share one. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        """Open or create the database; a damaged one is set aside, since no match needs it."""
        self._path = directory / DATABASE
        self._lock = threading.Lock()
        try:
            self._connection = open_pictures(self._path)
        except DatabaseDamaged:
            self._connection = self._open_anew()

    def keep(self, pictures: Mapping[bytes, bytes]) -> None:
        """Store these pictures durably, where they are not stored already."""
        with self._lock:
            try:
                self._keep(pictures)
            except DatabaseDamaged:
                self._connection.close()
                self._connection = self._open_anew()
                self._keep(pictures)

    def load(self, image_digest: bytes) -> bytes:
        """
        One stored picture.

        Raises:
            PictureNotKept: none is stored under this digest.
            CorruptRow: its checksum differs.
        """
        with self._lock, sqlite_faults(self._connection, DATABASE):
            return load_picture(self._connection, image_digest)

    def remove(self, image_digests: Iterable[bytes]) -> None:
        """Remove pictures that no posting has any more."""
        with self._lock, sqlite_faults(self._connection, DATABASE), self._connection:
            gone = [(digest,) for digest in image_digests]
            self._connection.executemany("DELETE FROM picture WHERE image_digest = ?", gone)

    def remove_all_but(self, in_use: Set[bytes]) -> None:
        """Remove what a crash left behind: pictures stored for a posting that was never committed, or that is gone."""
        try:
            with self._lock, sqlite_faults(self._connection, DATABASE):
                stored = {digest for (digest,) in self._connection.execute("SELECT image_digest FROM picture")}
            self.remove(stored - in_use)
        except DatabaseDamaged:
            logger.exception("the file of pictures is damaged in part; postings match on")

    def checkpoint(self) -> None:
        """Bring the log into the database and cut it."""
        with self._lock, sqlite_faults(self._connection, DATABASE):
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def _keep(self, pictures: Mapping[bytes, bytes]) -> None:
        with sqlite_faults(self._connection, DATABASE), self._connection:
            for image_digest, picture in pictures.items():
                try:
                    load_picture(self._connection, image_digest)
                except (PictureNotKept, CorruptRow):
                    values = (image_digest, _checksum(image_digest, picture), picture)
                    self._connection.execute("INSERT OR REPLACE INTO picture VALUES (?, ?, ?)", values)

    def _open_anew(self) -> apsw.Connection:
        for suffix in ("-wal", "-shm"):
            self._path.with_name(DATABASE + suffix).unlink(missing_ok=True)
        self._path.replace(self._path.with_name(DATABASE + ".damaged"))
        logger.error("the file of pictures is damaged and was set aside; postings match on without their pictures")
        return open_pictures(self._path)


def open_pictures(path: Path) -> apsw.Connection:
    """Open or create the file; raises as `open_database`."""
    return open_database(path, APPLICATION_ID, SCHEMA_VERSION, SCHEMA)


def stored_pictures(connection: apsw.Connection) -> Iterator[tuple[bytes, bool]]:
    """Every stored picture's digest, and whether it is as it was written."""
    for image_digest, checksum, picture in connection.execute("SELECT image_digest, checksum, picture FROM picture"):
        yield image_digest, _intact(image_digest, checksum, picture)


def stored_digests(directory: Path) -> set[bytes]:
    """The digests of all pictures of an open index, by a connection of its own; none where the file is damaged."""
    try:
        with closing(open_reader(directory / DATABASE)) as connection, sqlite_faults(connection, DATABASE):
            return {digest for (digest,) in connection.execute("SELECT image_digest FROM picture")}
    except (DatabaseDamaged, StorageFailed):
        logger.exception("the file of pictures is damaged in part; postings match on")
        return set()


def load_picture(connection: apsw.Connection, image_digest: bytes) -> bytes:
    """The picture of an upload; raises PictureNotKept, CorruptRow."""
    query = "SELECT checksum, picture FROM picture WHERE image_digest = ?"
    row: tuple[bytes, bytes] | None = connection.execute(query, (image_digest,)).get
    if row is None:
        raise PictureNotKept("no picture of this posting was kept")
    if not _intact(image_digest, *row):
        raise CorruptRow("the stored picture is damaged; put the posting with its picture again")
    return row[1]


def _checksum(image_digest: bytes, picture: bytes) -> bytes:
    return blake2b(image_digest + picture, digest_size=16).digest()


def _intact(image_digest: bytes, checksum: bytes, picture: bytes) -> bool:
    # A damaged column may have come back as another type.
    return isinstance(picture, bytes) and _checksum(image_digest, picture) == checksum
