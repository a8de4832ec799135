"""The door: a burst may fill the queue, lasting overload keeps it short."""

import pytest

from service import admission
from service.admission import Admission
from service.errors import Overloaded
from service.jobs import Priority


class Backlog:
    """Workers as admission sees them: what waits, by priority, and what a match takes."""

    def __init__(self) -> None:
        self.by_priority = dict.fromkeys(Priority, 0.0)

    def backlog_ms(self, priority: Priority) -> float:
        return self.by_priority[priority]

    def one_of_each_ms(self) -> float:
        return 40.0


@pytest.fixture
def backlog() -> Backlog:
    """Nothing waits."""
    return Backlog()


@pytest.fixture
def door(backlog: Backlog) -> Admission:
    """A door with a queue of 500 ms."""
    found = Admission(upload_budget_bytes=2**24, max_queued_ms=500)
    found.workers = backlog
    return found


def is_let_in(door: Admission, priority: Priority = Priority.QUERY) -> bool:
    try:
        door.require_room(priority)
    except Overloaded:
        return False
    return True


def test_a_burst_may_fill_the_queue(door: Admission, backlog: Backlog) -> None:
    """Up to the limit everybody is let in; past it nobody, with a time to come back."""
    backlog.by_priority[Priority.QUERY] = 500.0
    assert is_let_in(door)
    backlog.by_priority[Priority.QUERY] = 2_600.0
    with pytest.raises(Overloaded) as refused:
        door.require_room(Priority.QUERY)
    assert refused.value.retry_after_s == 4


def test_lasting_overload_keeps_the_queue_short(door: Admission, backlog: Backlog) -> None:
    """Once somebody was refused, a call is let in only where it waits no longer than a match takes."""
    backlog.by_priority[Priority.QUERY] = 501.0
    assert not is_let_in(door)
    for waiting, expected in ((300.0, False), (41.0, False), (40.0, True), (0.0, True)):
        backlog.by_priority[Priority.QUERY] = waiting
        assert is_let_in(door) is expected


def test_a_calm_while_ends_it(door: Admission, backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody was refused for a while, a burst may fill the queue again."""
    monkeypatch.setattr(admission, "CALM_S", 0.0)
    backlog.by_priority[Priority.QUERY] = 501.0
    assert not is_let_in(door)
    backlog.by_priority[Priority.QUERY] = 300.0
    assert is_let_in(door)


def test_each_priority_has_its_own_backlog(door: Admission, backlog: Backlog) -> None:
    """A bulk load that fills the queue refuses neither queries nor additions, and additions no query."""
    backlog.by_priority |= {Priority.BULK: 9_000.0, Priority.ADDITION: 300.0}
    assert is_let_in(door)
    assert is_let_in(door, Priority.ADDITION)
    backlog.by_priority[Priority.ADDITION] = 900.0
    assert not is_let_in(door, Priority.ADDITION)
    assert is_let_in(door)
