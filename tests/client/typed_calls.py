"""What a type checker must know of the clients; `test_twins.py` runs mypy over this, nobody runs it."""

from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from kembar_client import AsyncKembar, Delete, Goal, Kembar, KembarError, Put
from kembar_client.answers import BulkAnswer, Comparison, MatchAnswer, Posting, PostingPage, Problem, Written
from kembar_client.errors import Refused


def blocking(kembar: Kembar) -> None:
    """A blocking call gives its answer."""
    assert_type(kembar.match(title="Mug", goal=Goal.BALANCED), MatchAnswer)
    assert_type(kembar.match(title="Mug").matches[0].posting_id, str)
    assert_type(kembar.put("m1", title="Mug"), Written)
    assert_type(kembar.put_and_match("m1", title="Mug").matches, MatchAnswer)
    assert_type(kembar.compare("m1", "m2"), Comparison)
    assert_type(kembar.picture("m1"), bytes)
    assert_type(kembar.listing(), PostingPage)
    assert_type(kembar.scan(), Iterator[Posting])
    assert_type(kembar.bulk([Put("m1"), Delete("m2")]), Iterator[BulkAnswer])
    kembar.match(titel="Mug")  # type: ignore[call-arg]  # it must be found
    kembar.get(7)  # type: ignore[arg-type]  # it must be found


async def awaited(kembar: AsyncKembar) -> None:
    """An async call gives the same when it is awaited."""
    assert_type(await kembar.match(title="Mug", goal=Goal.BALANCED), MatchAnswer)
    assert_type(await kembar.put("m1", title="Mug"), Written)
    assert_type(await kembar.compare("m1", "m2"), Comparison)
    assert_type(await kembar.picture("m1"), bytes)
    assert_type(await kembar.listing(), PostingPage)
    assert_type(kembar.scan(), AsyncIterator[Posting])
    assert_type(kembar.bulk([Put("m1"), Delete("m2")]), AsyncIterator[BulkAnswer])
    kembar.get("m1")  # type: ignore[unused-coroutine]  # it must be found: nothing was awaited


def refused(fault: KembarError, refusal: Refused) -> None:
    """Any fault may carry a problem document, a refusal does."""
    assert_type(fault.problem, Problem | None)
    assert_type(refusal.problem, Problem)
