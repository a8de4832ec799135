"""How long a request takes and how long it spent in each stage: for its answer, its headers and its log line."""

import time
from contextvars import ContextVar

# Besides the lanes: the receiving of a body, the waiting for a worker summed over all lanes, a durable write.
READ, QUEUE, WRITE = "read", "queue", "write"
_started: ContextVar[float] = ContextVar("started")
_spent: ContextVar[dict[str, float]] = ContextVar("spent")


def begin() -> dict[str, float]:
    """Start a request in this context; the returned dict fills with seconds by stage."""
    spent: dict[str, float] = {}
    _started.set(time.perf_counter())
    _spent.set(spent)
    return spent


def elapsed_ms() -> float:
    """Milliseconds since the request of this context began; 0 outside of one."""
    now = time.perf_counter()
    return round((now - _started.get(now)) * 1e3, 3)


def spend(stage: str, seconds: float) -> None:
    """Count time of the request that this context belongs to, if it is one."""
    spent = _spent.get({})
    spent[stage] = spent.get(stage, 0.0) + seconds


def server_timing(spent: dict[str, float]) -> str:
    """
    The header's value, in milliseconds.

    >>> server_timing({"decode": 0.0021, "search": 0.005})
    'decode;dur=2.1, search;dur=5.0'
    """
    return ", ".join(f"{stage};dur={seconds * 1e3:.1f}" for stage, seconds in spent.items())
