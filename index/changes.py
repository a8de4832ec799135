"""The three writes, as they run inside a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from index.errors import CorruptRow, RevisionMismatch, UnknownPosting
from index.postings import ANY, Precondition, Written
from index.rows import Content, Row, put_views
from index.transaction import Transaction


@dataclass(frozen=True, slots=True)
class PackedPatch:
    """A `Patch` as bytes, checked; None leaves a part as it is, and without a title there are no vectors."""

    posting_id: bytes
    title: bytes | None
    title_vectors: Mapping[str, bytes]
    metadata: bytes | None
    dimensions: Mapping[str, int]


def put(transaction: Transaction, content: Content, picture: bytes | None, precondition: Precondition) -> Written:
    """Create or replace a posting; content that is already there is not written again."""
    try:
        stored = transaction.find(content.posting_id)
    except CorruptRow:
        if precondition != ANY:
            raise  # there is no telling which revision it has
        transaction.delete_damaged(content.posting_id)
        _keep(transaction, content, picture)
        return Written(transaction.write(content, None).sequence, created=False, changed=True)
    _check(precondition, stored)
    _keep(transaction, content, picture)
    if stored is not None and _same(stored.content, content):
        return Written(stored.sequence, created=False, changed=False)
    return Written(transaction.write(content, stored).sequence, created=stored is None, changed=True)


def patch(transaction: Transaction, change: PackedPatch, precondition: Precondition) -> Written:
    """Change title, metadata or both of a posting."""
    stored = transaction.find(change.posting_id)
    if stored is None:
        raise UnknownPosting("no posting has this id; put it first")
    _check(precondition, stored)
    content = stored.content
    if change.metadata is not None:
        content = replace(content, metadata=change.metadata)
    if change.title is not None and change.title != content.title:
        content = replace(put_views(content, change.title_vectors, change.dimensions), title=change.title)
    if content == stored.content:
        return Written(stored.sequence, created=False, changed=False)
    return Written(transaction.write(content, stored).sequence, created=False, changed=True)


def delete(transaction: Transaction, posting_id: bytes, precondition: Precondition) -> bool:
    """Remove a posting; True if it was there."""
    try:
        stored = transaction.find(posting_id)
    except CorruptRow:
        if precondition != ANY:
            raise
        transaction.delete_damaged(posting_id)
        return True
    _check(precondition, stored)
    if stored is None:
        return False
    transaction.delete(stored)
    return True


def _check(precondition: Precondition, stored: Row | None) -> None:
    if precondition.must_not_exist and stored is not None:
        raise RevisionMismatch(f"expected no posting of this id, got one of revision {stored.sequence}")
    if (precondition.must_exist or precondition.revisions is not None) and stored is None:
        raise RevisionMismatch("expected a posting of this id, got none")
    if precondition.revisions is not None and stored is not None and stored.sequence not in precondition.revisions:
        raise RevisionMismatch(f"expected a revision of {sorted(precondition.revisions)}, got {stored.sequence}")


def _keep(transaction: Transaction, content: Content, picture: bytes | None) -> None:
    # Also where the content is unchanged: a picture whose file was lost comes back with the next import.
    if picture is not None and content.image_digest is not None:
        transaction.pictures.append((content.image_digest, picture))


def _same(stored: Content, wanted: Content) -> bool:
    # Vectors follow from title and picture, and an encoder may give their last bits differently in another batch.
    return replace(stored, vectors=wanted.vectors) == wanted
