"""When a refused call is tried again, and after how long."""

import random
from dataclasses import dataclass
from typing import TypeVar

from kembar_client.errors import ConnectionLost, KembarError, Overloaded
from kembar_client.requests import Call

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `attempts` tries; waits double from `first_wait_s`; one beyond `longest_wait_s` is left to the caller."""

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0

    def wait_s(self, attempt: int, fault: KembarError, jitter: float) -> float | None:
        """
        Seconds to wait after the `attempt`-th try (from 1) failed with `fault`, or None to give up.

        What the service asks for in Retry-After is the least; `jitter` (0..1, random) spreads the callers above it.

        >>> RetryPolicy().wait_s(3, ConnectionLost(), jitter=0.5)
        1.5
        """
        if attempt >= self.attempts or not isinstance(fault, (Overloaded, ConnectionLost)):
            return None
        backoff_s = min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        if fault.retry_after_s is None:
            return backoff_s * (0.5 + 0.5 * jitter)
        return fault.retry_after_s + self.first_wait_s * jitter if fault.retry_after_s <= self.longest_wait_s else None

    def wait_or_raise(self, call: Call[T], attempt: int, fault: KembarError) -> float:
        """The same with a jitter drawn by lot; raises `fault` to give up, as for a call that must not be repeated."""
        wait_s = self.wait_s(attempt, fault, random.random()) if call.repeatable else None
        if wait_s is None:
            raise fault
        return wait_s
