"""A posting as one database row, and the checksum that covers all of it."""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import CorruptRow
from index.postings import JsonValue, Posting, Scalar, UnitVector

SqliteValue: TypeAlias = int | float | str | bytes | None
CHECKSUM_BYTES = 16
UNIT_TOLERANCE = 0.01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = 11


@dataclass(frozen=True, slots=True)
class Content:
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


@dataclass(frozen=True, slots=True)
class Row:
    """One verified row. `label` never changes and is never used again; `sequence` is the posting's revision."""

    label: int
    sequence: int
    created_us: int
    updated_us: int
    content: Content


def pack_vectors(vectors: Mapping[str, UnitVector], dimensions: Mapping[str, int]) -> tuple[bytes, bytes]:
    """
    Round unit vectors to float16, once, and lay them out in order of view name.

    Returns:
        The view names and the values, as they are stored.

    Raises:
        ValueError: no view, an unknown one, another dimension, or a vector that is not finite and of length one.
    """
    if not vectors:
        raise ValueError("a posting needs at least one view, got none")
    names = sorted(vectors)
    blob = b"".join(half_vector(name, vectors[name], dimensions).astype("<f2").tobytes() for name in names)
    return "+".join(names).encode(), blob


def half_vector(view: str, vector: UnitVector, dimensions: Mapping[str, int]) -> NDArray[np.float16]:
    """Check one unit vector (dim,) against its view and round it to float16; raises ValueError."""
    if view not in dimensions:
        raise ValueError(f"expected a view of {sorted(dimensions)}, got another name")
    if vector.shape != (dimensions[view],):
        raise ValueError(f"{view}: expected a vector of shape ({dimensions[view]},), got {vector.shape}")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not math.isfinite(length) or abs(length - 1.0) > UNIT_TOLERANCE:
        raise ValueError(f"{view}: expected a vector of length 1, got {length:.4f}")
    return vector.astype(np.float16)


def unpack_vectors(views: bytes, blob: bytes, dimensions: Mapping[str, int]) -> dict[str, NDArray[np.float16]]:
    """The inverse of `pack_vectors`; raises ValueError where the lengths disagree."""
    values = np.frombuffer(blob, dtype="<f2").astype(np.float16, copy=False)
    parts, end = {}, 0
    for name in views.decode().split("+"):
        start, end = end, end + dimensions[name]
        parts[name] = values[start:end]
    if end != values.size:
        raise ValueError(f"expected {end} values, got {values.size}")
    return parts


def put_views(content: Content, vectors: Mapping[str, bytes], dimensions: Mapping[str, int]) -> Content:
    """The content with these vectors (float16 bytes) by view put in, or in place of those it has."""
    parts = {name: half.tobytes() for name, half in unpack_vectors(content.views, content.vectors, dimensions).items()}
    parts |= vectors
    names = sorted(parts)
    return replace(content, views="+".join(names).encode(), vectors=b"".join(parts[name] for name in names))


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
    return frozenset(
        tag(key, value)
        for key, value in metadata.items()
        if value is None or isinstance(value, bool | int | float | str)
    )


def metadata_of(content: Content) -> dict[str, JsonValue]:
    """Read the stored metadata back, exactly as it was given."""
    metadata: dict[str, JsonValue] = json.loads(content.metadata.decode())
    return metadata


def checksum(row: Row) -> bytes:
    """BLAKE2b over every column, lengths included, so that no byte can move from one to the next."""
    content = row.content
    blobs = (
        content.posting_id,
        content.title,
        content.metadata,
        content.image_digest,
        content.views,
        content.vectors,
    )
    lengths = [-1 if blob is None else len(blob) for blob in blobs]
    head = struct.pack("<10q", row.label, row.sequence, row.created_us, row.updated_us, *lengths)
    return blake2b(b"".join((head, *(blob or b"" for blob in blobs))), digest_size=CHECKSUM_BYTES).digest()


def to_columns(row: Row) -> tuple[SqliteValue, ...]:
    """The row as it is stored, its checksum last."""
    content = row.content
    return (
        row.label,
        content.posting_id,
        row.sequence,
        row.created_us,
        row.updated_us,
        content.title,
        content.metadata,
        content.image_digest,
        content.views,
        content.vectors,
        checksum(row),
    )


def from_columns(columns: Sequence[SqliteValue], posting_id: bytes | None = None) -> Row:
    """
    The stored row, verified.

    Args:
        posting_id: the id under which it was looked up, where it was.

    Raises:
        CorruptRow: the checksum, or the type of a column, is another than was written, or the id is another.
    """
    label, found_id, sequence, created_us, updated_us, title, metadata, image_digest, views, vectors, stored = columns
    row = Row(
        label,  # type: ignore[arg-type]  # a damaged column may have any type; the checksum finds it below
        sequence,  # type: ignore[arg-type]  # as above
        created_us,  # type: ignore[arg-type]  # as above
        updated_us,  # type: ignore[arg-type]  # as above
        Content(found_id, title, metadata, image_digest, views, vectors),  # type: ignore[arg-type]  # as above
    )
    try:
        intact = checksum(row) == stored and posting_id in (None, found_id)
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
        metadata=metadata_of(content),
        vectors=unpack_vectors(content.views, content.vectors, dimensions),
        image_digest=None if content.image_digest is None else content.image_digest.hex(),
        revision=row.sequence,
        created_at=_EPOCH + timedelta(microseconds=row.created_us),
        updated_at=_EPOCH + timedelta(microseconds=row.updated_us),
    )
