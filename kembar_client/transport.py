"""What both clients do with httpx: check the address, make a request of a call, and name what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx

from kembar_client.errors import BadAddress, Closed, ConnectionLost, TimedOut, Unreachable
from kembar_client.requests import Call

T = TypeVar("T")
Http = httpx.Client | httpx.AsyncClient


def address(base_url: str) -> httpx.URL:
    """The address of a service; raises BadAddress."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise BadAddress(f"{base_url!r} is no address: expected one like http://127.0.0.1:8080")
    return url


@contextmanager
def sending(http: Http, call: Call[T]) -> Iterator[httpx.Request]:
    """The request of a call, to be sent inside this block, which turns the faults of httpx into those of `errors`."""
    if http.is_closed:
        raise Closed("this client is closed: make a new one, and call it inside its `with` block")
    try:
        yield http.build_request(
            call.method,
            call.path,
            params=call.params,
            headers=call.headers,
            files=call.form or None,
            content=call.content,
            timeout=httpx.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s,
        )
    except httpx.InvalidURL as exc:
        raise BadAddress(f"this call does not fit into an address, use a shorter id, cursor or filter: {exc}") from exc
    except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
        raise Unreachable(f"no connection to {http.base_url}: {exc}") from exc
    except httpx.TimeoutException as exc:
        raise TimedOut(f"no answer from {http.base_url} within the time limit") from exc
    except httpx.RequestError as exc:
        raise ConnectionLost(f"the connection to {http.base_url} broke: {exc}") from exc


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """What a response that was read says."""
    # By this stream it refers to itself, and would keep what was sent, up to 64 MiB, until the collector comes by.
    response.stream = httpx.ByteStream(b"")
    return call.read(response)
