"""What the errors of SQLite and of the file system mean to the index: translated here and nowhere else."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from index.errors import DatabaseDamaged, IndexFault, StorageFailed, StorageFull

# A quota, a size limit and a disk remounted read-only leave reads and later writes possible, as a full disk does.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_READ_ERRORS = {apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS}
_DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, apsw.ConstraintError, apsw.SQLError)


@contextmanager
def sqlite_faults(connection: apsw.Connection, file: str) -> Iterator[None]:
    """Translate what SQLite raises on this connection."""
    try:
        yield
    except apsw.FullError as exc:
        raise _full(file) from exc
    except apsw.IOError as exc:
        if connection.system_errno in _NO_ROOM:
            raise _full(file) from exc
        if exc.extendedresult in _READ_ERRORS:  # type: ignore[attr-defined]  # missing from apsw's type information
            raise DatabaseDamaged(f"{file}: SQLite cannot read a page; restore a backup") from exc
        raise _failed(file, exc) from exc
    except (*_DAMAGE, UnicodeDecodeError) as exc:
        raise DatabaseDamaged(f"{file}: SQLite finds its own file damaged ({exc}); restore a backup") from exc
    except apsw.Error as exc:
        raise _failed(file, exc) from exc


@contextmanager
def file_faults(file: str) -> Iterator[None]:
    """Translate what a write to one of our own files raises."""
    try:
        yield
    except OSError as exc:
        raise _full(file) if exc.errno in _NO_ROOM else _failed(file, exc) from exc


def _full(file: str) -> IndexFault:
    return StorageFull(f"{file}: no room on the disk; free some, then try again")


def _failed(file: str, exc: Exception) -> IndexFault:
    return StorageFailed(f"{file}: the disk failed under a write ({exc}); restart when it is sound")
