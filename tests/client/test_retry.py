"""Retries: when, and after how long."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from httpx import Response

from kembar_client.answers import Problem
from kembar_client.errors import ConnectionLost, KembarError, Overloaded, Refused, TimedOut, Unreachable
from kembar_client.retry import RetryPolicy
from kembar_client.wire import refusal

POLICY = RetryPolicy(attempts=4, first_wait_s=0.5, longest_wait_s=30)


def overloaded(retry_after_s: float | None) -> Overloaded:
    return Overloaded(Problem(status=503), retry_after_s)


def test_waits_double_and_are_spread() -> None:
    """Without a wish of the service the waits double; the jitter takes away up to half of each."""
    waits = [POLICY.wait_s(attempt, overloaded(None), jitter) for attempt in (1, 2, 3) for jitter in (0.0, 1.0)]

    assert waits == [0.25, 0.5, 0.5, 1.0, 1.0, 2.0]


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_never_earlier_than_asked(jitter: float) -> None:
    """Retry-After is the least wait; the jitter only adds."""
    wait_s = POLICY.wait_s(1, overloaded(7), jitter)

    assert wait_s is not None
    assert 7 <= wait_s <= 7.5


@pytest.mark.parametrize(
    ("attempt", "fault"),
    [
        (4, overloaded(None)),
        (1, overloaded(31)),
        (1, TimedOut()),
        (1, Unreachable()),
        (1, Refused(Problem(status=500))),
    ],
)
def test_giving_up(attempt: int, fault: KembarError) -> None:
    """No wait after the last try, beyond the longest wait, or for a fault that waiting does not mend."""
    assert POLICY.wait_s(attempt, fault, 0.5) is None


def test_a_lost_connection_is_worth_a_try() -> None:
    """A connection that broke is tried again."""
    assert POLICY.wait_s(1, ConnectionLost(), 1.0) == 0.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12", 12),
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 86_400),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), 0),
        ("soon", None),
        ("-1", None),
        ("Fri, 02 Jan 2026 12:00:00", None),
    ],
)
def test_retry_after_as_seconds_and_as_date(value: str, seconds: float | None) -> None:
    """Retry-After is read in both of its forms; what is neither counts as absent."""
    told = refusal(Response(503, headers={"retry-after": value})).retry_after_s

    assert told == (None if seconds is None else pytest.approx(seconds, abs=3_600))
