"""The calls of `requests` as methods, written down once for the blocking client and for its async twin."""

from collections.abc import Callable, Coroutine
from functools import cache, update_wrapper
from inspect import Parameter, Signature, iscoroutinefunction, signature
from types import MethodType, NoneType
from typing import Generic, ParamSpec, Protocol, TypeVar, get_args, overload

from kembar_client import requests
from kembar_client.requests import Call

P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Protocol):
    """A client that waits for the answer."""

    def send(self, call: Call[T]) -> T:
        """Send a call and give its answer."""


class Awaiting(Protocol):
    """A client whose answers are awaited."""

    async def send(self, call: Call[T]) -> T:
        """Send a call and give its answer."""


class Method(Generic[P, T]):
    """A function that builds a `Call[T]` as the method that sends it: on `Kembar` it gives a T, else it is awaited."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build

    @overload
    def __get__(self, client: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type) -> Callable[P, Coroutine[None, None, T]]: ...
    @overload
    def __get__(self, client: None, owner: type) -> Callable[..., object]: ...

    def __get__(self, client: object, owner: type) -> Callable[..., object]:
        method = _method(self._build, owner)
        return method if client is None else MethodType(method, client)


class Methods:
    """What both clients have by the same names."""

    match = Method(requests.match)
    matches_of = Method(requests.matches_of)
    put = Method(requests.put)
    put_and_match = Method(requests.put_and_match)
    patch = Method(requests.patch)
    get = Method(requests.get)
    delete = Method(requests.delete)
    picture = Method(requests.picture)
    listing = Method(requests.listing)
    compare = Method(requests.compare)
    embeddings = Method(requests.embeddings)
    model = Method(requests.model)
    limits = Method(requests.limits)
    ready = Method(requests.ready)


@cache  # one function per class, as if it had been written there; `help` and editors show what it gives
def _method(build: Callable[..., Call[object]], owner: type) -> Callable[..., object]:
    def method(client: Blocking, *args: object, **kwargs: object) -> object:
        return client.send(build(*args, **kwargs))

    async def awaited(client: Awaiting, *args: object, **kwargs: object) -> object:
        return await client.send(build(*args, **kwargs))

    made = awaited if iscoroutinefunction(getattr(owner, "send", None)) else method
    update_wrapper(made, build)
    made.__qualname__ = f"{owner.__name__}.{build.__name__}"
    made.__dict__["__signature__"] = _signature(build)
    return made


def _signature(build: Callable[..., Call[object]]) -> Signature:
    shown = signature(build)
    (answer,) = get_args(shown.return_annotation)
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *shown.parameters.values()]
    return shown.replace(parameters=parameters, return_annotation=None if answer is NoneType else answer)
