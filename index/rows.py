"""A posting as one database row, and the checksum that covers all of it."""

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import CorruptRow
from index.postings import JsonValue, Posting, Scalar, UnitVector

Columns: TypeAlias = tuple[Any, ...]  # as SQLite gives them: in a damaged row each may have any type
Halves: TypeAlias = dict[str, NDArray[np.float16]]
UNIT_TOLERANCE = 0.01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Content(NamedTuple):
    """
    What a caller wrote, as bytes: the part of a row that decides whether a put changes anything.

    `views` is the names in order, joined by `+`; `vectors` the float16 values (little endian) in that order.
    """

    posting_id: bytes
    title: bytes | None
    metadata: bytes
    image_digest: bytes | None
    views: bytes
    vectors: bytes


class Row(NamedTuple):
    """One verified row. `label` never changes and is never used again; `sequence` is the posting's revision."""

    label: int
    sequence: int
    created_us: int
    updated_us: int
    content: Content

    @property
    def tags(self) -> frozenset[str]:
        """The tags that its metadata give."""
        return tags_of(json.loads(self.content.metadata))

    def with_vectors(self, views: bytes, vectors: bytes) -> "Row":
        """The same posting as other encoders see it."""
        return self._replace(content=self.content._replace(views=views, vectors=vectors))


COLUMNS = ", ".join((*Row._fields[:-1], *Content._fields, "checksum"))


def half_vectors(vectors: Mapping[str, UnitVector], dimensions: Mapping[str, int]) -> Halves:
    """
    Round unit vectors (dim,) to float16: the values that are stored, searched and scored. In order of view name.

    Raises:
        ValueError: an unknown view, another dimension, or a vector that is not finite and of length one.
    """
    for view, vector in vectors.items():
        if view not in dimensions:
            raise ValueError(f"expected a view of {sorted(dimensions)}, got another name")
        if vector.shape != (dimensions[view],):
            raise ValueError(f"{view}: expected a vector of shape ({dimensions[view]},), got {vector.shape}")
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not abs(length - 1.0) <= UNIT_TOLERANCE:  # so that NaN is refused too
            raise ValueError(f"{view}: expected a vector of length 1, got {length:.4f}")
    return {view: vectors[view].astype(np.float16) for view in sorted(vectors)}


def pack_vectors(halves: Halves) -> tuple[bytes, bytes]:
    """The view names and the values as they are stored; raises ValueError where there is no view."""
    if not halves:
        raise ValueError("a posting needs at least one view, got none")
    names = sorted(halves)
    return "+".join(names).encode(), b"".join(halves[name].astype("<f2").tobytes() for name in names)


def unpack_vectors(content: Content, dimensions: Mapping[str, int]) -> Halves:
    """The inverse of `pack_vectors`; raises ValueError where the lengths disagree."""
    values = np.frombuffer(content.vectors, dtype="<f2").astype(np.float16, copy=False)
    parts, end = {}, 0
    for name in content.views.decode().split("+"):
        start, end = end, end + dimensions[name]
        parts[name] = values[start:end]
    if end != values.size:
        raise ValueError(f"expected {end} values, got {values.size}")
    return parts


def json_bytes(metadata: Mapping[str, JsonValue]) -> bytes:
    """Metadata as compact JSON in the order given; raises ValueError for NaN, infinity and lone surrogates."""
    return json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def tag(key: str, value: Scalar) -> str:
    """
    Name one (key, value) pair of metadata by its canonical JSON text.

    >>> tag("size", 1.0), tag("size", True)
    ('"size":1', '"size":true')
    """
    return f"{encode_basestring_ascii(key)}:{_canonical(value)}"


def _canonical(value: Scalar) -> str:
    # By hand: json.dumps takes ten times as long, and a start does this for every scalar of every posting.
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)


def tags_of(metadata: Mapping[str, JsonValue]) -> frozenset[str]:
    """The tags of a posting: its top-level scalars. Lists and objects carry none."""
    return frozenset(tag(key, value) for key, value in metadata.items() if not isinstance(value, list | dict))


def checksum(row: Row) -> bytes:
    """BLAKE2b over every column, lengths included, so that no byte can move from one to the next."""
    *numbers, content = row
    lengths = [-1 if value is None else len(value) for value in content]
    head = struct.pack("<10q", *numbers, *lengths)
    return blake2b(b"".join((head, *(value or b"" for value in content))), digest_size=16).digest()


def to_columns(row: Row) -> Columns:
    """The row as it is stored, its checksum last."""
    return (*row[:-1], *row.content, checksum(row))


def from_columns(columns: Columns, posting_id: bytes | None = None) -> Row:
    """
    The stored row, verified.

    Args:
        posting_id: the id under which it was looked up, where it was.

    Raises:
        CorruptRow: the checksum, or the type of a column, is another than was written, or the id is another.
    """
    label, sequence, created_us, updated_us, *content, stored = columns
    row = Row(label, sequence, created_us, updated_us, Content(*content))
    try:
        intact = checksum(row) == stored and posting_id in (None, row.content.posting_id)
    except (TypeError, struct.error):
        intact = False
    if not intact:
        raise CorruptRow(f"row {row.label} is damaged and not served; put the posting again, or delete it")
    return row


def to_posting(row: Row, dimensions: Mapping[str, int]) -> Posting:
    """The row as callers see it."""
    content = row.content
    return Posting(
        posting_id=content.posting_id.decode(),
        title=None if content.title is None else content.title.decode(),
        metadata=json.loads(content.metadata),
        vectors=unpack_vectors(content, dimensions),
        image_digest=None if content.image_digest is None else content.image_digest.hex(),
        revision=row.sequence,
        created_at=_EPOCH + timedelta(microseconds=row.created_us),
        updated_at=_EPOCH + timedelta(microseconds=row.updated_us),
    )
