"""From a picture and a title to unit vectors, off the event loop and in shared batches."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.batcher import AnyLane, Lane, Priority, run_calls
from service.bundle.bundle import Bundle
from service.bundle.picture import decode_picture, picture_tensor, stored_picture
from service.bundle.views import View
from service.metrics import Metrics

# Measured: a picture in a batch of 16 takes no less time than in one of 4, and 150 MB more memory in all.
MAX_IMAGE_BATCH = 4
MAX_TITLE_BATCH = 16
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
        self, bundle: Bundle, *, threads: int, stored_side: int, require_room: Callable[[], None], metrics: Metrics
    ) -> None:
        self._bundle, self._stored_side, self._require_room = bundle, stored_side, require_room
        specs = bundle.manifest.encoders
        # A unit is a megabyte of picture.
        self._decode_lane: Lane[Callable[[], Decoded], Decoded] = Lane(
            "decode", run_calls, metrics, workers=threads, max_batch=1, ms_per_unit=10.0
        )
        workers, batch = (1, MAX_IMAGE_BATCH) if specs[View.IMAGE].rows_independent else (threads, 1)
        self._image_lane = Lane("image", self._images, metrics, workers=workers, max_batch=batch, ms_per_unit=5.0)
        workers, batch = (1, MAX_TITLE_BATCH) if specs[View.TITLE].rows_independent else (threads, 1)
        self._title_lane = Lane("title", self._titles, metrics, workers=workers, max_batch=batch, ms_per_unit=2.0)

    async def vectors(self, image: bytes | None, title: str | None, priority: Priority) -> Mapping[str, Vector]:
        """Encode what is given. Raises Overloaded (bulk loads wait instead), PostingError, ModelFault."""
        return (await self._encode(image, title, 0, priority)).vectors

    async def to_keep(self, image: bytes | None, title: str | None, priority: Priority) -> Encoded:
        """As `vectors`, with the picture to keep; of nothing there is nothing."""
        return await self._encode(image, title, self._stored_side, priority)

    @property
    def keeps_pictures(self) -> bool:
        """Whether `to_keep` gives a picture for a picture."""
        return self._stored_side > 0

    def lanes(self) -> Sequence[AnyLane]:
        """The three lanes, for admission, readiness and metrics."""
        return self._decode_lane, self._image_lane, self._title_lane

    def close(self) -> None:
        """Finish what is queued and end the workers."""
        for lane in self.lanes():
            lane.close()

    async def _encode(self, image: bytes | None, title: str | None, stored_side: int, priority: Priority) -> Encoded:
        if priority is not Priority.BULK and (image is not None or title is not None):
            self._require_room()
        (picture, image_vectors), title_vectors = await asyncio.gather(
            self._encode_picture(image, stored_side, priority), self._encode_title(title, priority)
        )
        return Encoded({**image_vectors, **title_vectors}, picture)

    async def _encode_picture(
        self, image: bytes | None, stored_side: int, priority: Priority
    ) -> tuple[bytes | None, Mapping[str, Vector]]:
        if image is None:
            return None, {}
        megabytes = len(image) / 1e6 + 0.1
        with self._image_lane.expecting(1.0):
            tensor, picture = await self._decode_lane.through(
                lambda: self._decode(image, stored_side), priority, megabytes
            )
        return picture, {View.IMAGE.value: await self._image_lane.through(tensor, priority)}

    async def _encode_title(self, title: str | None, priority: Priority) -> Mapping[str, Vector]:
        return {} if title is None else await self._title_lane.through(title, priority)

    def _decode(self, data: bytes, stored_side: int) -> Decoded:
        spec = self._bundle.manifest.picture
        image = decode_picture(data, spec.decode_side)
        return picture_tensor(image, spec), stored_picture(image, stored_side) if stored_side else None

    def _images(self, tensors: Sequence[NDArray[np.uint8]]) -> Sequence[Vector]:
        return list(self._bundle.image.encode(np.stack(tensors)))

    def _titles(self, titles: Sequence[str]) -> Sequence[Mapping[str, Vector]]:
        return self._bundle.encode_titles(titles)
