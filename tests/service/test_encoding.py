"""Encoding: the vectors of the encoders, whoever else is there; counted as waiting from the moment it is accepted."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from service import encoding
from service.batcher import Lane, Workers
from service.bundle.bundle import Bundle
from service.bundle.errors import ImageMalformed, ImageTruncated
from service.bundle.picture import decode_picture, picture_tensor
from service.encoding import PostingEncoder
from service.errors import Overloaded
from service.jobs import Priority
from service.metrics import Metrics
from tests.service.conftest import jpeg


@pytest.fixture
def encoder(bundle: Bundle) -> Iterator[PostingEncoder]:
    """An encoder that always has room."""
    with working() as workers:
        yield make(bundle, workers, lambda priority: None)


@contextmanager
def working() -> Iterator[Workers]:
    workers = Workers(2, Metrics())
    yield workers
    workers.close()


def make(bundle: Bundle, workers: Workers, require_room: Callable[[Priority], None]) -> PostingEncoder:
    """An encoder that keeps pictures of at most 64 pixels."""
    return PostingEncoder(bundle, workers, stored_side=64, require_room=require_room)


def expected(bundle: Bundle, image: bytes) -> np.ndarray:
    spec = bundle.manifest.picture
    return bundle.image.encode(picture_tensor(decode_picture(image, spec.decode_side), spec)[None])[0]


def test_vectors_are_the_encoders(encoder: PostingEncoder, bundle: Bundle) -> None:
    """One vector per view given, as the bundle's own functions make it."""
    found = asyncio.run(encoder.vectors(jpeg(1), "red mug", Priority.QUERY))
    assert set(found) == {"image", "title"}
    np.testing.assert_array_equal(found["image"], expected(bundle, jpeg(1)))
    np.testing.assert_array_equal(found["title"], bundle.title.encode(["red mug"])[0])
    assert set(asyncio.run(encoder.vectors(None, "red mug", Priority.QUERY))) == {"title"}


def test_the_picture_to_keep(encoder: PostingEncoder) -> None:
    """A posting's picture comes back re-encoded at the size of the setting; a title's posting has none."""
    kept = asyncio.run(encoder.to_keep(jpeg(1, side=200), None, Priority.ADDITION)).picture
    assert kept is not None
    assert Image.open(io.BytesIO(kept)).size == (64, 64)
    assert asyncio.run(encoder.to_keep(None, "mug", Priority.ADDITION)).picture is None


def test_one_bad_picture_among_many_fails_alone(encoder: PostingEncoder, bundle: Bundle) -> None:
    """Each caller gets his own vector or his own error."""

    async def ask() -> list[object]:
        images = [jpeg(number)[: 400 if number % 5 == 0 else None] for number in range(20)]
        calls = (encoder.vectors(image, None, Priority.QUERY) for image in images)
        return await asyncio.gather(*calls, return_exceptions=True)

    for number, found in enumerate(asyncio.run(ask())):
        if number % 5 == 0:
            assert isinstance(found, ImageTruncated | ImageMalformed)
        else:
            assert isinstance(found, dict)
            np.testing.assert_array_equal(found["image"], expected(bundle, jpeg(number)))


def test_what_is_being_decoded_will_be_encoded(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture counts as the encoder's waiting work while it is still being decoded."""
    let = threading.Event()

    def slow(data: bytes, side: int) -> Image.Image:
        assert let.wait(10)
        return decode_picture(data, side)

    monkeypatch.setattr(encoding, "decode_picture", slow)

    async def ask(encoder: PostingEncoder, image_lane: Lane[object, object]) -> None:
        calls = [asyncio.create_task(encoder.vectors(jpeg(1), None, Priority.QUERY)) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert image_lane.work_ms() == pytest.approx(10 * image_lane.ms_per_job)
        let.set()
        await asyncio.gather(*calls)
        assert image_lane.work_ms() == 0

    with working() as workers:
        encoder = make(bundle, workers, lambda priority: None)
        asyncio.run(ask(encoder, next(lane for lane in workers.lanes if lane.name == "image")))


def test_who_is_refused_when_there_is_no_room(bundle: Bundle) -> None:
    """Queries and additions are; bulk loads are not, nor is what needs no encoding."""

    def full(priority: Priority) -> None:
        raise Overloaded("full")

    with working() as workers:
        encoder = make(bundle, workers, full)
        for priority in (Priority.QUERY, Priority.ADDITION):
            with pytest.raises(Overloaded):
                asyncio.run(encoder.vectors(None, "mug", priority))
        assert asyncio.run(encoder.vectors(None, "mug", Priority.BULK))
        assert asyncio.run(encoder.to_keep(None, None, Priority.ADDITION)).vectors == {}
