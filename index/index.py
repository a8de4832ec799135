"""The index: postings, durable and searchable at once."""

import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from pathlib import Path

from index.changes import Transaction
from index.commit import Committer
from index.errors import PictureNotKept, StorageFailed, StorageFull
from index.opening import Parts, open_parts
from index.postings import ANY, Draft, Hit, Patch, Posting, Precondition, Scalar, UnitVector, Written
from index.rows import Content, half_vectors, json_bytes, pack_vectors, tag, to_posting, unpack_vectors
from index.scrub import Verdict, repair
from index.search import Floors, Question, Searcher
from index.snapshot import Identity
from index.table import Binding
from index.tuning import TUNING, Tuning
from index.upkeep import Health, Upkeep
from index.writer import Writer


class Index:
    """
    Postings by id, searched by their vectors.

    Thread-safe. Reads and searches block for milliseconds; a write gives a future. Once it is done, the write survives
    a killed process and a power cut, and every answer that begins from then on knows of it.
    """

    def __init__(self, path: Path, parts: Parts, identity: Identity, tuning: Tuning) -> None:
        """Called by `open`."""
        dimensions, weights = identity.dimensions, identity.weights
        self._parts, self._dimensions = parts, dimensions
        self._searcher = Searcher(parts.sets, parts.reader, parts.quarantine, dimensions, weights)
        self._committer = Committer(parts)
        self._writer = Writer(self._committer)
        self._upkeep = Upkeep(
            path, parts.sets, parts.quarantine, identity, tuning, parts.snapshots, repair=self._repair
        )
        self._upkeep.start()
        self._closing = threading.Lock()
        self._parts.resources.callback(self._finish)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        encoder_id: str,
        dimensions: Mapping[str, int],
        weights: Mapping[str, float],
        accept_loss: bool = False,
        tuning: Tuning = TUNING,
    ) -> "Index":
        """
        Open or create the index in a directory, and own the directory until `close`.

        Args:
            encoder_id: what the vectors were made with; an index never mixes two.
            dimensions: per view, the length of its vectors.
            weights: per view, positive; used in searching only, so others may be given at the next start.
            accept_loss: go on although acknowledged rows are missing.
            tuning: when a view set is held in which way; answers do not depend on it, but for a few that an inverted
                file misses.

        Raises:
            CannotOpen: see the tree in `index.errors`; nothing was changed.
            ValueError: a view has no positive weight.
            StorageFull, StorageFailed: the disk does not take what an open index needs.
        """
        binding = Binding(encoder_id, dict(sorted(dimensions.items())))
        parts = open_parts(path, binding, weights, tuning, accept_loss=accept_loss)
        return cls(path, parts, Identity(encoder_id, binding.dimensions, dict(weights)), tuning)

    def put(self, draft: Draft, precondition: Precondition = ANY) -> "Future[Written]":
        """
        Create or replace a posting. One that is already so (title, metadata, picture, views) is not written again.

        Raises, at once:
            ValueError: a vector is not a unit vector of its view, or the text is not valid Unicode or JSON.
            IndexClosed, StorageFailed: no write is accepted any more.
        Raises, by the future:
            RevisionMismatch, StorageFull, StorageFailed, CorruptRow (only with a precondition).
        """
        views, vectors = pack_vectors(half_vectors(draft.vectors, self._dimensions))
        content = Content(
            posting_id=draft.posting_id.encode(),
            title=None if draft.title is None else draft.title.encode(),
            metadata=json_bytes(draft.metadata),
            image_digest=None if draft.image_digest is None else bytes.fromhex(draft.image_digest),
            views=views,
            vectors=vectors,
        )
        return self._writer.submit(lambda transaction: transaction.put(content, draft.picture, precondition))

    def patch(self, change: Patch, precondition: Precondition = ANY) -> "Future[Written]":
        """
        Change title, metadata or both; the rest stays. Raises as `put`; by the future also UnknownPosting, CorruptRow.
        """
        if (change.title is None) != (not change.title_vectors):
            raise ValueError("expected a title together with its vectors, got one of the two")
        title = None if change.title is None else change.title.encode()
        title_halves = half_vectors(change.title_vectors, self._dimensions)
        metadata = None if change.metadata is None else json_bytes(change.metadata)

        def edit(content: Content) -> Content:
            if metadata is not None:
                content = content._replace(metadata=metadata)
            if title is None or title == content.title:
                return content
            views, vectors = pack_vectors(unpack_vectors(content, self._dimensions) | title_halves)
            return content._replace(title=title, views=views, vectors=vectors)

        posting_id = change.posting_id.encode()
        return self._writer.submit(lambda transaction: transaction.patch(posting_id, edit, precondition))

    def delete(self, posting_id: str, precondition: Precondition = ANY) -> "Future[bool]":
        """Remove a posting; True if it was there. Raises as `put`."""
        id_bytes = posting_id.encode()
        return self._writer.submit(lambda transaction: transaction.delete(id_bytes, precondition))

    def get(self, posting_id: str) -> Posting:
        """One posting; raises UnknownPosting, CorruptRow."""
        return to_posting(self._parts.reader.row(posting_id.encode()), self._dimensions)

    def picture(self, posting_id: str) -> bytes:
        """The picture kept of a posting; raises UnknownPosting, PictureNotKept, CorruptRow."""
        image_digest = self._parts.reader.row(posting_id.encode()).content.image_digest
        if image_digest is None:
            raise PictureNotKept("the posting has no picture")
        return self._parts.pictures.load(image_digest)

    def scan(self, *, after: str | None, limit: int, where: Mapping[str, Scalar] | None = None) -> list[Posting]:
        """
        At most `limit` postings in order of id bytes, starting after the id `after`; fewer only at the end.

        Args:
            where: metadata that they must have, by equality; true is not 1, and 1 is 1.0.
        """
        tags = _tags(where)
        last = b"" if after is None else after.encode()
        found: list[Posting] = []
        while entries := self._parts.reader.listing(last, limit - len(found), tags):
            rows = self._parts.reader.rows([label for _, label in entries])
            rows.sort(key=lambda row: row.content.posting_id)
            found += [to_posting(row, self._dimensions) for row in rows]
            last, _ = entries[-1]
        return found

    def search(
        self,
        query: Mapping[str, UnitVector],
        *,
        k: int,
        floors: Floors,
        where: Mapping[str, Scalar] | None = None,
        exclude: Collection[str] = (),
    ) -> list[Hit]:
        """
        The postings nearest to a query, as brute force over all of them would find, ties included; of a large view set
        nearly all of them, with the very scores (docs/decisions/0009).

        Args:
            query: per view a unit vector (dim,); rounded to float16 as the stored ones are.
            k: how many per set of shared views.
            floors: for a set of shared views, the fused score from which a posting counts. Of each set's hits, the
                list ends with the first below it, so that the caller sees one that just failed. Called while writes
                wait, so it has to be quick and must not use the index.
            where: metadata that they must have, as in `scan`.
            exclude: posting ids to leave out.

        Returns:
            Hits grouped by shared views, in each group by falling score, then by id bytes.

        Raises:
            ValueError: no view, one of another dimension, a vector that is not of length one, or `k` below 1.
        """
        if k < 1 or not query:
            raise ValueError(f"expected k of at least 1 and at least one view, got {k} and {len(query)}")
        return self._searcher.search(
            Question(
                query=half_vectors(query, self._dimensions),
                k=k,
                floors=floors,
                tags=_tags(where),
                exclude=frozenset(posting_id.encode() for posting_id in exclude),
            )
        )

    def count(self) -> int:
        """How many postings are served."""
        return sum(self.counts().values())

    def counts(self) -> Mapping[str, int]:
        """How many postings are served, by their view set: `{"image+title": 10}`."""
        return self._parts.sets.counts(without=self._parts.quarantine.labels())

    def quarantined(self) -> int:
        """How many rows were found damaged and are not served."""
        return len(self._parts.quarantine.labels())

    @property
    def fault(self) -> StorageFull | StorageFailed | None:
        """Why writes fail at present: None, a full disk (until a write succeeds) or a failed one (for good)."""
        return self._writer.fault

    def health(self) -> Health:
        """Of each view set its kind, size and snapshot, and how the work in the background stands."""
        return self._upkeep.health()

    def close(self) -> None:
        """Finish accepted writes, leave everything in the database file, give the directory back. Idempotent."""
        with self._closing:
            self._parts.resources.close()

    def _finish(self) -> None:
        self._upkeep.stop()
        self._writer.close()
        if not isinstance(self._writer.fault, StorageFailed):
            self._upkeep.save()
            self._committer.close()

    def _repair(self, verdict: Verdict) -> None:
        def mend(transaction: Transaction) -> None:
            agree = {"indexes_agree": verdict.indexes_agree, "tags_agree": verdict.tags_agree}
            repair(transaction.store, self._parts.quarantine, **agree)
            transaction.released.update(map(bytes.fromhex, verdict.unused_pictures))

        self._writer.submit(mend).result()


def _tags(where: Mapping[str, Scalar] | None) -> frozenset[str]:
    return frozenset(tag(key, value) for key, value in (where or {}).items())
