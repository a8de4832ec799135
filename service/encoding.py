"""From a picture and a title to unit vectors, off the event loop and in shared batches."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.batcher import AnyLane, Lane, Workers, run_calls
from service.bundle.bundle import Bundle
from service.bundle.picture import decode_picture, picture_tensor, stored_picture
from service.bundle.views import View
from service.jobs import Priority, enter

# docs/decisions/0010: a picture in a batch takes a core longer than one alone; titles of float encoders take less.
MAX_IMAGE_BATCH = 1
MAX_TITLE_BATCH = 16
T = TypeVar("T")
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One vector (dim,) per view that was given, and the picture to keep, if one shall be kept."""

    vectors: Mapping[str, Vector]
    picture: bytes | None


Decoded = tuple[NDArray[np.uint8], bytes | None]


class PostingEncoder:
    """The lanes of decoding and of both encoders. Called from the event loop, which it never blocks."""

    def __init__(
        self, bundle: Bundle, workers: Workers, *, stored_side: int, require_room: Callable[[Priority], None]
    ) -> None:
        self._bundle, self._stored_side, self._require_room = bundle, stored_side, require_room
        self._decode_lane: Lane[Callable[[], Decoded], Decoded] = Lane("decode", run_calls, workers, ms_per_unit=12.0)
        wide = bundle.image.wide_threads, self._images_wide
        self._image_lane = Lane("image", self._images, workers, max_batch=MAX_IMAGE_BATCH, ms_per_unit=20.0, wide=wide)
        batch = MAX_TITLE_BATCH if bundle.title.spec.rows_independent else 1
        self._title_lane = Lane("title", bundle.encode_titles, workers, max_batch=batch, ms_per_unit=2.0)

    async def vectors(self, image: bytes | None, title: str | None, priority: Priority) -> Mapping[str, Vector]:
        """Encode what is given. Raises Overloaded (bulk loads wait instead), PostingError, ModelFault."""
        return (await self._encode(image, title, 0, priority)).vectors

    async def vectors_to_match(self, image: bytes | None, title: str | None, then: AnyLane) -> Mapping[str, Vector]:
        """As `vectors` of a query, which counts as work of the lane that comes then."""
        return (await self._encode(image, title, 0, Priority.QUERY, then)).vectors

    async def to_keep(self, image: bytes | None, title: str | None, priority: Priority) -> Encoded:
        """As `vectors`, with the picture to keep; of nothing there is nothing."""
        return await self._encode(image, title, self._stored_side, priority)

    @property
    def keeps_pictures(self) -> bool:
        """Whether `to_keep` gives a picture for a picture."""
        return self._stored_side > 0

    async def _encode(
        self, image: bytes | None, title: str | None, stored_side: int, priority: Priority, then: AnyLane | None = None
    ) -> Encoded:
        if priority is not Priority.BULK and (image is not None or title is not None):
            self._require_room(priority)
        enter()
        # All is queued or expected before anything is awaited: whoever asks for room next has to see it.
        with ExitStack() as expected, nullcontext() if then is None else then.expecting(1.0, priority):
            (picture, image_vectors), title_vectors = await asyncio.gather(
                self._begin_picture(image, stored_side, priority, expected), self._begin_title(title, priority)
            )
        return Encoded({**image_vectors, **title_vectors}, picture)

    def _begin_picture(
        self, image: bytes | None, stored_side: int, priority: Priority, expected: ExitStack
    ) -> Awaitable[tuple[bytes | None, Mapping[str, Vector]]]:
        if image is None:
            return _already((None, {}))
        expected.enter_context(self._image_lane.expecting(1.0, priority))
        decoding = self._decode_lane.through(
            lambda: self._decode(image, stored_side),
            priority,
            0.4 + len(image) / 250_000,  # 1 for 150 kB
        )

        async def encode() -> tuple[bytes | None, Mapping[str, Vector]]:
            tensor, picture = await decoding
            expected.close()
            return picture, {View.IMAGE.value: await self._image_lane.through(tensor, priority)}

        return encode()

    def _begin_title(self, title: str | None, priority: Priority) -> Awaitable[Mapping[str, Vector]]:
        return _already({}) if title is None else self._title_lane.through(title, priority)

    def _decode(self, data: bytes, stored_side: int) -> Decoded:
        spec = self._bundle.manifest.picture
        image = decode_picture(data, spec.decode_side)
        return picture_tensor(image, spec), stored_picture(image, stored_side) if stored_side else None

    def _images(self, tensors: Sequence[NDArray[np.uint8]]) -> Sequence[Vector]:
        return list(self._bundle.image.encode(np.stack(tensors)))

    def _images_wide(self, tensors: Sequence[NDArray[np.uint8]]) -> Sequence[Vector]:
        return list(self._bundle.image.encode_wide(np.stack(tensors)))


async def _already(result: T) -> T:
    return result
