"""Every matched pair of the stored catalogue: posting by posting, each pair told once."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, JsonValue

from kembar_client.answers import Match, MatchAnswer, PostingPage
from kembar_client.errors import NotFound
from service.commands.exits import CannotGoOn

# Enough to keep both cores of a small service busy, and few enough to leave others their turn.
AT_ONCE = 4
MOST = 10_000  # matches that the service lets a caller pass over


class Progress(BaseModel):
    """
    How far a walk has come: `cursor` of the listing, `size` in bytes of the lines so far, and what was counted.

    `question` is what is asked, of which service and model. `cut_lists` counts the postings with more matches than can
    be asked for.
    """

    question: dict[str, JsonValue]
    cursor: str | None = None
    size: int = 0
    postings: int = 0
    pairs: int = 0
    deleted: int = 0
    cut_lists: int = 0


class PairWalk:
    """A walk through the listing: each posting is asked for all its matches, and tells those with a larger id."""

    def __init__(self, ask: Callable[[str, int], MatchAnswer], progress: Progress) -> None:
        """`ask` gives the matches of a stored posting, after so many better ones."""
        self._ask, self._progress = ask, progress

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

    def _matches_of(self, posting_id: str) -> dict[str, Match] | None:
        """All matches by id, so that one that moves between two answers is told once; None where it was deleted."""
        found, asked, is_last = dict[str, Match](), 0, False
        try:
            while not is_last and asked <= MOST:
                answer = self._ask(posting_id, asked)
                if answer.model != self._progress.question["model"]:
                    raise CannotGoOn("the service was started anew with another bundle: begin anew with --restart")
                found |= {match.posting_id: match for match in answer.matches}
                asked, is_last = asked + len(answer.matches), not answer.limit_reached
        except NotFound:
            return None
        self._progress.cut_lists += not is_last
        return found

    def _lines(self, posting_id: str, found: dict[str, Match] | None) -> bytes:
        if found is None:
            self._progress.deleted += 1
            return b""
        # By code points, which is the order of their bytes in UTF-8 as well.
        return b"".join(_line(posting_id, other, match) for other, match in found.items() if posting_id < other)


def _line(smaller: str, larger: str, match: Match) -> bytes:
    evidence = match.model_dump(mode="json", exclude={"posting_id", "title", "metadata"})
    return json.dumps({"a": smaller, "b": larger, **evidence}, ensure_ascii=False).encode() + b"\n"
