"""`kembar import`: a feed and its pictures into a running service."""

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from tqdm import tqdm

from service.bundle.feed import BadRow, FeedError, FolderNeeded
from service.commands.calling import service_at, url_option
from service.commands.exits import CannotGoOn, Exit, printable, stoppable
from service.commands.feed_load import FeedLoad, Listener, Outcome, survey
from service.commands.pictures import is_public, picture_fetcher

GO_ON = "What was acknowledged is stored; the same command goes on from here."
MAX_BAD_ROWS = 1_000  # in the JSON; all are told on stderr


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "kembar" / "pictures"


@click.command("import")
@click.argument("csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the picture files that the feed names.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=_cache_folder,
    help="Keeps the pictures fetched from URLs; may be deleted at any time.  [default: ~/.cache/kembar/pictures]",
)
@click.option(
    "--allow-private-hosts",
    is_flag=True,
    help="Fetch pictures from this machine and from private networks too: for a feed that you trust.",
)
@url_option
@click.option(
    "--retry-s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How long to wait, without progress, for a service that is away or has too much to do.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts and the bad rows as JSON at the end.")
def import_(
    csv: Path, images: Path | None, cache: Path, allow_private_hosts: bool, url: str, retry_s: float, as_json: bool
) -> None:
    """
    Import the postings of a CSV file into a running service.

    Columns: posting_id, image, title (picture or title may be blank); all others become metadata. label_group and
    image_phash, as in Kaggle's file, are not sent. Postings that the service holds unchanged are skipped, so the same
    command goes on after a break.

    An image is a file in the folder --images or a URL. From a URL at most 10 MiB are fetched, within 30 s, over at most
    3 redirects, without a proxy, and only from the public internet. What a server says is unchanged is not fetched
    again.

    \b
    Examples: kembar import postings.csv --images pictures/
              kembar import supplier.csv --json --url http://kembar.shop.internal:8080 > report.json
    Exit:     0 all rows done, 1 some rows are bad (a line each), 2 usage, 3 cannot go on, 130 Ctrl-C, 143 SIGTERM;
              after 3, 130 and 143 what was acknowledged is stored, and the same command goes on
    """
    started = time.monotonic()
    bad: list[BadRow] = []
    permitted = (lambda _address: True) if allow_private_hosts else is_public
    try:
        with stoppable(GO_ON), service_at(url, GO_ON) as kembar, picture_fetcher(cache, permitted) as fetcher:
            posting_ids = survey(csv, images)
            # disable=None: no bar where nobody watches it.
            with tqdm(total=len(posting_ids), unit=" rows", disable=None, smoothing=0.05) as bar:
                listener = _listener(bar, retry_s, bad)
                load = FeedLoad(kembar, csv, images, fetcher.start, listener, frozenset(posting_ids), retry_s)
                counts = load.run()
    except FolderNeeded as exc:
        raise click.UsageError(printable(f"{exc} with --images.")) from exc
    except FeedError as exc:
        raise CannotGoOn(printable(str(exc))) from exc
    seconds = time.monotonic() - started
    click.echo(_json(counts, seconds, bad) if as_json else _summary(counts, seconds))
    sys.exit(Exit.SOME_BAD if counts[Outcome.BAD] else Exit.FINE)


def _listener(bar: "tqdm[None]", retry_s: float, bad: list[BadRow]) -> Listener:
    def tell(row: BadRow) -> None:
        name = "" if row.posting_id is None else f" (posting {row.posting_id})"
        bar.write(printable(f"row {row.row}{name}: {row.reason}"), file=sys.stderr)
        if len(bad) < MAX_BAD_ROWS:
            bad.append(row)

    def waiting(reason: str) -> None:
        bar.write(f"{reason}; trying again for {retry_s:g} s", file=sys.stderr)

    return Listener(lambda _outcome: bar.update(), tell, waiting)


def _summary(counts: Counter[Outcome], seconds: float) -> str:
    parts = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in Outcome)
    return f"{counts.total():,} rows in {seconds:.1f} s: {parts}"


def _json(counts: Counter[Outcome], seconds: float, bad: list[BadRow]) -> str:
    outcomes = {str(outcome): counts[outcome] for outcome in Outcome}
    bad_rows = [asdict(row) for row in bad]
    return json.dumps({"rows": counts.total(), **outcomes, "seconds": round(seconds, 3), "bad_rows": bad_rows})
