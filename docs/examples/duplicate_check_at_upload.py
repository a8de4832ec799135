"""
Duplicate check at upload: what a storefront does when a seller offers something.

One call stores the offer and tells what it matches. Of that come three outcomes: nothing alike is *new*, and published;
what is almost certainly there already is a *duplicate*, and refused; between the two a person is asked to *look*.

The id is chosen before the first call, so that the same upload may be sent any number of times: after a lost answer, a
restart or a crash between two calls it ends as it would have ended at once. (Two copies that arrive in the same instant
see each other and are both refused; whoever tries again is taken.) A shop never waits for Kembar: when it is away,
publish the offer unchecked and run the check again later (exit code 75). Against `make run`:

    .venv/bin/python docs/examples/duplicate_check_at_upload.py --id offer-1 --title 'Red plate 20 cm' --image photo.jpg
"""

import argparse
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kembar_client import Goal, Kembar
from kembar_client.answers import Match
from kembar_client.errors import KembarError, Unusable

TRY_AGAIN_LATER = 75


class Outcome(StrEnum):
    """What becomes of an upload."""

    NEW = "new: publish it"
    LOOK = "publish it, and let a person look whether it is one of these"
    DUPLICATE = "refuse it: the shop has it already"


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome and what it rests on, best first."""

    outcome: Outcome
    matches: tuple[Match, ...]


def check_upload(kembar: Kembar, posting_id: str, title: str | None, image: bytes | None) -> Decision:
    """
    Store an upload, decide what becomes of it, and take it out again where it is refused.

    Raises:
        Unusable: the picture or the title is none; the seller must send another.
        KembarError: nothing was decided; call again with the same id.
    """
    matches = kembar.put_and_match(posting_id, title=title, image=image).matches.matches
    if not matches:
        return Decision(Outcome.NEW, ())
    # What was found passes the goal `balanced`. To refuse a seller takes the stricter one, if its measurement bears it.
    verdict = kembar.compare(posting_id, matches[0].posting_id).verdicts[Goal.PRECISION_99]
    if verdict.same_product and verdict.goal_supported:
        kembar.delete(posting_id)
        return Decision(Outcome.DUPLICATE, matches)
    return Decision(Outcome.LOOK, matches)


def main() -> int:
    """Check one upload and print what becomes of it."""
    parser = argparse.ArgumentParser(description="Check one upload for duplicates.")
    parser.add_argument("--id", required=True, help="the offer's own id, the same at every try")
    parser.add_argument("--title")
    parser.add_argument("--image", type=Path, help="JPEG, PNG, WebP, GIF or AVIF")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    given = parser.parse_args()
    try:
        with Kembar(given.url, timeout_s=5) as kembar:
            decision = check_upload(kembar, given.id, given.title, given.image and given.image.read_bytes())
    except Unusable as fault:
        print(f"the seller must send something else: {fault.problem.detail}", file=sys.stderr)
        return 1
    except OSError as fault:
        parser.error(f"the picture cannot be read: {fault}")
    except KembarError as fault:
        print(f"not checked, try again with the same id: {fault}", file=sys.stderr)
        return TRY_AGAIN_LATER
    print(decision.outcome)
    for match in decision.matches[:5]:
        print(f"  {match.probability:6.1%}  {match.posting_id}  {match.title!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
