"""How long each stage of a request took: for its Server-Timing header, and for the histogram of them all."""

from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum

_spent: ContextVar[dict[str, float] | None] = ContextVar("spent", default=None)


class Stage(StrEnum):
    """The stages that are timed; `queue` is the waiting for a worker, summed over all of them."""

    DECODE = "decode"
    QUEUE = "queue"
    IMAGE = "image"
    TITLE = "title"
    SEARCH = "search"


class Stages:
    """Takes the time of each stage from whichever coroutine works for a request."""

    def __init__(self, observe: Callable[[str, float], None]) -> None:
        self._observe = observe

    def begin(self) -> dict[str, float]:
        """Start a request in this context; the returned dict fills with seconds by stage."""
        spent: dict[str, float] = {}
        _spent.set(spent)
        return spent

    def spend(self, stage: Stage, seconds: float) -> None:
        """Add to the stage of the current request."""
        self._observe(stage, seconds)
        if (spent := _spent.get()) is not None:
            spent[stage] = spent.get(stage, 0.0) + seconds


def server_timing(spent: dict[str, float]) -> str:
    """
    The header's value, in milliseconds.

    >>> server_timing({"decode": 0.0021, "search": 0.005})
    'decode;dur=2.1, search;dur=5.0'
    """
    return ", ".join(f"{stage};dur={seconds * 1e3:.1f}" for stage, seconds in spent.items())
