"""Both clients under one face, so that every test of a client is a test of its twin."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Self

import pytest

from kembar_client import AsyncKembar, Kembar

Connect = Callable[..., AbstractContextManager[Kembar]]


class Awaited:
    """An `AsyncKembar` that is called as `Kembar` is: each call runs to its end on an event loop of its own."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._runner, self._kembar = asyncio.Runner(), AsyncKembar(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
        self._runner.close()

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            given = getattr(self._kembar, name)(*args, **kwargs)
            return self._each(given) if isinstance(given, AsyncIterator) else self._runner.run(given)

        return call

    def _each(self, items: AsyncIterator[object]) -> Iterator[object]:
        async def following() -> object:
            return await anext(items)

        try:
            while True:
                yield self._runner.run(following())
        except StopAsyncIteration:
            return
        finally:
            self._runner.run(items.aclose())


@pytest.fixture(params=[Kembar, Awaited], ids=["blocking", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """A client's class; all that takes this is done by the one client and by the other."""
    return request.param
