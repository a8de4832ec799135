"""Every matched pair of the stored catalogue: posting by posting, each pair told once."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, JsonValue

from kembar_client.answers import Match, MatchAnswer, PostingPage
from kembar_client.errors import NotFound
from service.commands.exits import CannotGoOn

# Enough to keep both cores of a small service busy, and few enough to leave others their turn.
AT_ONCE = 4


class Progress(BaseModel):
    """
    How far a walk has come: `cursor` of the listing, `size` in bytes of the lines so far, and what was counted.

    `question` is what is asked, of which service and model. `cut` names the postings of which the service listed 50
    matches and had more.
    """

    question: dict[str, JsonValue]
    cursor: str | None = None
    size: int = 0
    postings: int = 0
    pairs: int = 0
    deleted: int = 0
    cut: set[str] = set()


class PairWalk:
    """
    A walk through the listing.

    A pair is told when its smaller id is asked. Only where the smaller one's matches were cut, and the larger one was
    not among those listed, is it told when the larger one is asked. So what must be kept in mind is small.
    """

    def __init__(self, ask: Callable[[str], MatchAnswer], progress: Progress, lines: Iterable[bytes]) -> None:
        """`ask` gives the matches of a stored posting; `lines` are those told before `progress` was written."""
        self._ask, self._progress = ask, progress
        self._told: defaultdict[str, set[str]] = defaultdict(set)  # by larger id, the smaller ones that were cut
        for line in lines if progress.cut else ():
            pair = json.loads(line)
            if pair["a"] in progress.cut:
                self._told[pair["b"]].add(pair["a"])

    def pages(self, listing: Callable[[str | None], PostingPage]) -> Iterator[bytes]:
        """The lines of one page of the listing after the other; the progress is then what it is after the page."""
        progress, is_last = self._progress, False
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="kembar-pairs") as pool:
            while not is_last:
                page = listing(progress.cursor)
                ids = [posting.posting_id for posting in page.postings]
                lines = b"".join(map(self._lines, ids, pool.map(self._matches_of, ids)))
                progress.cursor, is_last = page.next_cursor, page.next_cursor is None
                progress.size += len(lines)
                progress.pairs += lines.count(b"\n")
                progress.postings += len(ids)
                yield lines

    def _matches_of(self, posting_id: str) -> MatchAnswer | None:
        try:
            answer = self._ask(posting_id)
        except NotFound:
            return None
        if answer.model != self._progress.question["model"]:
            raise CannotGoOn("the service was started anew with another bundle: begin anew with --restart")
        return answer

    def _lines(self, posting_id: str, answer: MatchAnswer | None) -> bytes:
        told = self._told.pop(posting_id, set())
        if answer is None:
            self._progress.deleted += 1
            return b""
        lines = []
        for match in answer.matches:
            other = match.posting_id
            if posting_id < other:  # by code points, which is the order of their bytes in UTF-8 as well
                lines.append(_line(posting_id, other, match))
                if answer.limit_reached:
                    self._told[other].add(posting_id)
            elif other in self._progress.cut and other not in told:
                lines.append(_line(other, posting_id, match))
        if answer.limit_reached:
            self._progress.cut.add(posting_id)
        return b"".join(lines)


def _line(smaller: str, larger: str, match: Match) -> bytes:
    evidence = match.model_dump(mode="json", exclude={"posting_id", "title", "metadata"})
    return json.dumps({"a": smaller, "b": larger, **evidence}, ensure_ascii=False).encode() + b"\n"
