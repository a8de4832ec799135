"""
What can go wrong with an index.

    IndexFault
    ├── UnknownPosting         no posting has this id
    ├── PictureNotKept         the posting is there, a picture of it is not
    ├── RevisionMismatch       a precondition of the caller is not met
    ├── CorruptRow             a stored row is damaged; it is quarantined
    ├── IndexClosed            used after close()
    ├── StorageFull            no room for this write; reads go on, later writes may succeed
    ├── StorageFailed          the disk failed under a write; no further write is accepted until a restart
    └── CannotOpen
        ├── DirectoryUnusable  not a directory, or one that cannot be written
        ├── IndexLocked        another process owns the directory
        ├── SchemaTooNew       written by a newer Kembar
        ├── EncoderMismatch    holds vectors of other encoders
        ├── RowsMissing        acknowledged rows are not there any more
        └── DatabaseDamaged    SQLite cannot read its own file (also raised while reading)

Two stand apart, since no caller ever hears of them: SnapshotUnusable, and ChildFailed.

Messages give expected, got and what to do, and never quote a title, an id or metadata.
"""


class IndexFault(Exception):
    """Base of everything that the index raises on purpose."""


class UnknownPosting(IndexFault):
    """No posting has this id."""


class PictureNotKept(IndexFault):
    """The posting is there, a picture of it is not."""


class RevisionMismatch(IndexFault):
    """The posting's state is not the one that the precondition names."""


class CorruptRow(IndexFault):
    """A stored row or picture does not match its checksum."""


class IndexClosed(IndexFault):
    """The index was used after it was closed."""


class StorageFull(IndexFault):
    """There is no room for this write; nothing of it was stored and reads go on."""


class StorageFailed(IndexFault):
    """The disk failed under a write; the index accepts no further write until it is opened anew."""


class CannotOpen(IndexFault):
    """The index refuses to open; nothing was changed."""


class DirectoryUnusable(CannotOpen):
    """The path is no directory of ours, or cannot be written."""


class IndexLocked(CannotOpen):
    """Another process owns the directory."""


class SchemaTooNew(CannotOpen):
    """The database was written by a newer Kembar."""


class EncoderMismatch(CannotOpen):
    """The index holds vectors of other encoders."""


class RowsMissing(CannotOpen):
    """The database holds less, or other, than was acknowledged."""


class DatabaseDamaged(CannotOpen):
    """SQLite cannot read its own file."""


class SnapshotUnusable(Exception):
    """A snapshot is damaged, or was made with something else; nothing depends on it."""


class ChildFailed(Exception):
    """The process that trains or verifies ended before it was done; it is tried again later."""
