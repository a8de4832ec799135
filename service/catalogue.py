"""Postings on their way into the index: encoded once, and only as far as they have changed."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from index.errors import CorruptRow, IndexFault, StorageFailed, UnknownPosting
from index.index import Index
from index.postings import ANY, Draft, Patch, Posting, Precondition, Written
from service.bundle.views import TITLE_VIEWS, View
from service.encoding import PostingEncoder, Vector
from service.jobs import Priority
from service.metrics import Metrics
from service.schemas import PatchRequest, PutRequest
from service.stages import WRITE

T = TypeVar("T", Written, bool)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a write did, and the vectors (dim,) that the posting has now."""

    written: Written
    vectors: Mapping[str, Vector]


class Catalogue:
    """
    Puts, patches and deletes. Called from the event loop, which it never blocks.

    Raises PostingError, ModelFault, Overloaded, and what the index raises.
    """

    def __init__(self, index: Index, encoder: PostingEncoder, fail: Callable[[], None], metrics: Metrics) -> None:
        """`fail` is called once the disk has failed under a write."""
        self._index, self._encoder, self._fail, self._metrics = index, encoder, fail, metrics

    async def put(self, posting_id: str, wanted: PutRequest, precondition: Precondition, priority: Priority) -> Stored:
        """Store the whole of a posting; unchanged content is neither encoded nor written."""
        image, title = wanted.image, wanted.title
        digest = None if image is None else (await asyncio.to_thread(hashlib.sha256, image)).hexdigest()
        old = await self._find(posting_id, precondition)
        known = {} if old is None else await self._reusable(old, digest, title)
        encoded = await self._encoder.to_keep(
            None if View.IMAGE in known else image, None if View.TITLE in known else title, priority
        )
        vectors = {**known, **encoded.vectors}
        draft = Draft(posting_id, title, wanted.metadata, vectors, digest, encoded.picture)
        return Stored(await self._write(lambda: self._index.put(draft, precondition)), vectors)

    async def patch(
        self, posting_id: str, wanted: PatchRequest, precondition: Precondition, priority: Priority
    ) -> Stored:
        """Change title or metadata, None leaving a part as it is; only a new title is encoded."""
        old = await self._find(posting_id, precondition) or await self.get(posting_id)  # tells damaged from missing
        title, vectors = wanted.title, _vectors(old)
        if title is not None and title != old.title:
            vectors |= await self._encoder.vectors(None, title, priority)
        given = {} if title is None else {view: one for view, one in vectors.items() if view in TITLE_VIEWS}
        change = Patch(posting_id, title, given, wanted.metadata)
        return Stored(await self._write(lambda: self._index.patch(change, precondition)), vectors)

    async def delete(self, posting_id: str, precondition: Precondition = ANY) -> None:
        """Remove a posting, also one that is not there."""
        await self._write(lambda: self._index.delete(posting_id, precondition))

    async def get(self, posting_id: str) -> Posting:
        """Raises UnknownPosting, CorruptRow."""
        return await asyncio.to_thread(self._index.get, posting_id)

    async def _write(self, begin: Callable[[], Future[T]]) -> T:
        started = time.perf_counter()
        try:
            done = await asyncio.wrap_future(begin())
        except StorageFailed:
            self._fail()
            raise
        self._metrics.stage(WRITE, time.perf_counter() - started)
        self._metrics.write(done)
        return done

    async def _find(self, posting_id: str, precondition: Precondition) -> Posting | None:
        try:
            old = await self.get(posting_id)
        except UnknownPosting:
            old = None
        except CorruptRow:
            if precondition != ANY:
                raise  # there is no telling which revision it has
            return None  # putting it again is the cure
        # The write looks again, in its transaction; looking here saves the encoding of what would be refused.
        precondition.require(None if old is None else old.revision)
        return old

    async def _reusable(self, old: Posting, digest: str | None, title: str | None) -> dict[str, Vector]:
        vectors = _vectors(old)
        if title != old.title:
            vectors = {view: vector for view, vector in vectors.items() if view not in TITLE_VIEWS}
        is_kept = digest == old.image_digest and await asyncio.to_thread(self._has_picture, old.posting_id)
        if digest is None or not is_kept:
            vectors.pop(View.IMAGE, None)
        return vectors

    def _has_picture(self, posting_id: str) -> bool:
        try:
            return not self._encoder.keeps_pictures or bool(self._index.picture(posting_id))
        except IndexFault:
            return False  # a picture that was lost comes back with the posting


def _vectors(posting: Posting) -> dict[str, Vector]:
    return {view: vector.astype(np.float32) for view, vector in posting.vectors.items()}
