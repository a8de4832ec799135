"""
Similar listings on a product page: the page never waits for Kembar.

A page asks `SimilarListings.of(posting_id)`. What is known and fresh is given at once. Else Kembar is asked, once for
all pages that want the same, and the page waits a tenth of a second at most: where the answer takes longer, or Kembar
is away, it shows what was known before, or nothing, and the answer is there for the next page. Against `make run`:

    .venv/bin/python docs/examples/similar_listings.py sample_c1ba37c08929
"""

import argparse
import asyncio
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from kembar_client import AsyncKembar, Goal, RetryPolicy
from kembar_client.answers import Match
from kembar_client.errors import KembarError, NotFound


@dataclass(frozen=True, slots=True)
class Known:
    """Listings, and until when they count as fresh."""

    matches: tuple[Match, ...]
    fresh_until: float


@dataclass
class SimilarListings:
    """Matches of stored postings for a page; of one event loop. `most_known` bounds the memory."""

    kembar: AsyncKembar
    limit: int = 8
    time_to_live_s: float = 300.0
    page_waits_s: float = 0.1
    most_known: int = 10_000
    _known: OrderedDict[str, Known] = field(default_factory=OrderedDict)
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def of(self, posting_id: str) -> tuple[Match, ...]:
        """What to show beside a posting, best first: fresh, else stale, else nothing; never later than the limit."""
        known = self._known.get(posting_id)
        if known is None or known.fresh_until < time.monotonic():
            asking = self._asking.get(posting_id) or self._ask(posting_id)
            await asyncio.wait([asking], timeout=self.page_waits_s)  # on time-out the task goes on
            known = self._known.get(posting_id)
        return () if known is None else known.matches

    async def close(self) -> None:
        """Give up what is still being asked."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _ask(self, posting_id: str) -> asyncio.Task[None]:
        task = self._asking[posting_id] = asyncio.create_task(self._refresh(posting_id))
        task.add_done_callback(lambda _: self._asking.pop(posting_id))
        return task

    async def _refresh(self, posting_id: str) -> None:
        try:
            answer = await self.kembar.matches_of(posting_id, limit=self.limit, goal=Goal.RECALL_90)
        except NotFound:
            matches: tuple[Match, ...] = ()  # it was taken down: what was known is wrong now
        except KembarError as fault:
            print(f"no similar listings of {posting_id}: {fault}", file=sys.stderr)
            return
        else:
            matches = answer.matches
        self._known[posting_id] = Known(matches, time.monotonic() + self.time_to_live_s)
        self._known.move_to_end(posting_id)
        if len(self._known) > self.most_known:
            self._known.popitem(last=False)


async def show(url: str, posting_id: str) -> None:
    """Print what a page would show, with the time that it took: first asked, then known."""
    # One try is enough: the next page asks again.
    async with AsyncKembar(url, timeout_s=2, retry=RetryPolicy(attempts=1)) as kembar:
        similar = SimilarListings(kembar)
        for _ in range(2):
            started = time.perf_counter()
            matches = await similar.of(posting_id)
            print(f"{len(matches)} similar listings in {1000 * (time.perf_counter() - started):.1f} ms")
        for match in matches:
            print(f"  {match.probability:6.1%}  {match.posting_id}  {match.title!r}")
        await similar.close()


def main() -> None:
    """Show the similar listings of one posting."""
    parser = argparse.ArgumentParser(description="Similar listings of a stored posting.")
    parser.add_argument("posting_id")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    given = parser.parse_args()
    asyncio.run(show(given.url, given.posting_id))


if __name__ == "__main__":
    main()
