"""
Nightly feed sync: makes the stored catalogue what a supplier's feed says.

New and changed rows are put, what the feed no longer has is deleted, everything else is left alone and costs nothing.
The feed is a CSV with `posting_id`, `title` and `image`, the name of a file among the images. Each posting carries the
name of its feed as metadata, so that no feed deletes the postings of another.

Nothing is remembered between runs but the catalogue itself: broken off at any point, it is started again and does what
is left. A feed without more than a tenth of what it had is taken for a broken one, and deletes nothing. Against
`make run`:

    .venv/bin/python docs/examples/nightly_feed_sync.py --feed one .cache/sample/postings.csv .cache/sample/images
"""

import argparse
import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kembar_client import Delete, Kembar, Put
from kembar_client.bulk import Operation
from kembar_client.errors import KembarError

MOST_DELETED = 0.1
DONE = {200: "replaced", 201: "created", 204: "deleted"}
START_AGAIN = 75
Content = tuple[str | None, str | None]  # title, and SHA-256 of the picture


@dataclass
class Sync:
    """One run; `held` is what the catalogue has and the feed has not shown yet."""

    kembar: Kembar
    feed: str
    held: dict[str, Content] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def run(self, rows: Iterator[dict[str, str]], images: Path) -> Counter[str]:
        """Bring the catalogue in line with the rows and count what was done. Raises KembarError; run it again then."""
        scan = self.kembar.scan(where={"feed": self.feed})
        self.held = {posting.posting_id: (posting.title, posting.image_sha256) for posting in scan}
        # A request holds its pictures in memory, and two are under way: 16 MB each are enough.
        for answer in self.kembar.bulk(self._operations(rows, images), max_bytes=16_000_000):
            if answer.problem is not None:
                self._bad(answer.posting_id, answer.problem.detail)
            else:
                self.done[DONE[answer.status]] += 1
        return self.done

    def _operations(self, rows: Iterator[dict[str, str]], images: Path) -> Iterator[Operation]:
        most_deleted = max(1, int(MOST_DELETED * len(self.held)))
        for row in rows:
            posting_id, title = row["posting_id"], row["title"] or None
            held = self.held.pop(posting_id, None)
            try:
                image = (images / row["image"]).read_bytes() if row["image"] else None
            except OSError as fault:
                self._bad(posting_id, str(fault))  # it keeps what it has: a missing file is no deletion
                continue
            if held == (title, image and hashlib.sha256(image).hexdigest()):
                self.done["unchanged"] += 1
            else:
                yield Put(posting_id, title, image, {"feed": self.feed})
        # Only now, with the whole feed read: a feed that breaks off in the middle deletes nothing.
        if len(self.held) > most_deleted:
            self._bad(
                None, f"{len(self.held)} postings are not in the feed, at most {most_deleted} are deleted at once"
            )
        else:
            yield from map(Delete, self.held)

    def _bad(self, posting_id: str | None, reason: str) -> None:
        self.done["bad"] += 1
        print(f"{posting_id!r}: {reason}" if posting_id else reason, file=sys.stderr)


def main() -> int:
    """Sync one feed; the exit code is 1 where some of it was bad, 75 where it must be started again."""
    parser = argparse.ArgumentParser(description="Make the catalogue what the feed says.")
    parser.add_argument("csv", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--feed", required=True, help="the name of the feed; only its postings are changed")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    given = parser.parse_args()
    try:
        with given.csv.open(encoding="utf-8", newline="") as file, Kembar(given.url) as kembar:
            rows = csv.DictReader(file)
            if missing := {"posting_id", "title", "image"} - set(rows.fieldnames or ()):
                parser.error(f"the feed has no column {', '.join(sorted(missing))}")
            done = Sync(kembar, given.feed).run(rows, given.images)
    except (KembarError, KeyboardInterrupt) as fault:
        print(f"broken off, start it again: {fault!r}", file=sys.stderr)
        return START_AGAIN
    except (OSError, UnicodeError, csv.Error) as fault:
        parser.error(f"the feed cannot be read: {fault}")
    print(", ".join(f"{count} {name}" for name, count in sorted(done.items())) or "an empty feed")
    return 1 if done["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
