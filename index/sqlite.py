"""How the index opens SQLite: one connection that writes, any number that read."""

from pathlib import Path

import apsw

from index.errors import DatabaseDamaged, IndexFault, SchemaTooNew, StorageFailed
from index.faults import sqlite_faults

_BUSY_MS = 1_000
_PAGE_BYTES = 8_192  # a row of three views takes 2.3 KB: three fit, where 4 KiB hold one and waste the rest


def open_database(path: Path, application_id: int, version: int, schema: str) -> apsw.Connection:
    """
    Open the one connection that writes and checkpoints; a new file gets the schema.

    Raises:
        DatabaseDamaged: not a database, or one of something else, or its schema is not as written.
        SchemaTooNew: the file's version is above `version`; it was not touched.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    except apsw.Error as exc:
        raise DatabaseDamaged(f"{path.name}: SQLite cannot open it: {exc}") from exc
    try:
        with sqlite_faults(connection, path.name):
            _claim(connection, path.name, application_id, version, schema)
    except IndexFault:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open one more connection, for reading only; raises StorageFailed."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as exc:
        raise StorageFailed(f"{path.name}: SQLite cannot open it for reading: {exc}") from exc
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _claim(connection: apsw.Connection, name: str, application_id: int, version: int, schema: str) -> None:
    connection.set_busy_timeout(_BUSY_MS)
    found = connection.pragma("user_version")
    is_new = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if not is_new and connection.pragma("application_id") != application_id:
        raise DatabaseDamaged(f"{name}: not a database of Kembar's; move it away, or use another directory")
    if found > version:
        raise SchemaTooNew(f"{name}: expected schema {version} or older, got {found}; use a newer Kembar")
    if is_new:
        connection.pragma("page_size", _PAGE_BYTES)
    # Asked for and compared: an I/O error while switching is otherwise swallowed, and another mode loses writes.
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StorageFailed(f"{name}: expected journal_mode wal, got {mode}; use a local disk")
    connection.execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON")
    # SQLite swallows the errors of its own checkpoints, and after a failed fsync there must be none: ours are called.
    connection.wal_autocheckpoint(0)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    if is_new:
        with connection:
            connection.execute(schema)
            connection.pragma("application_id", application_id)
            connection.pragma("user_version", version)
    statements = {str(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    expected = {statement.strip() for statement in schema.split(";") if statement.strip()}
    if statements != expected:
        raise DatabaseDamaged(f"{name}: its schema is not the one that Kembar wrote; restore a backup")
