"""`kembar import`: a feed and its pictures into a running service."""

import sys
import time
from collections import Counter
from pathlib import Path

import click
from tqdm import tqdm

from service.bundle.feed import BadRow, FeedError
from service.commands.calling import service_at, url_option
from service.commands.exits import CannotGoOn, Exit, printable
from service.commands.feed_load import FeedLoad, Listener, Outcome, survey

GO_ON = "What was acknowledged is stored; the same command goes on from here."


@click.command("import")
@click.argument("csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the picture files that the feed names.",
)
@url_option
@click.option(
    "--retry-s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="How long to wait, without progress, for a service that is away or has too much to do.",
)
def import_(csv: Path, images: Path, url: str, retry_s: float) -> None:
    """
    Import the postings of a CSV file into a running service.

    Columns: posting_id, image, title (picture or title may be blank); all others become metadata. label_group and
    image_phash, as in Kaggle's file, are not sent. Postings that the service holds unchanged are skipped, so the same
    command goes on after a break.

    \b
    Example:  kembar import postings.csv --images pictures/ --url http://127.0.0.1:8080
    Exit:     0 all rows done, 1 some rows are bad, 2 usage, 3 cannot go on, 130 Ctrl-C
    """
    started = time.monotonic()
    try:
        posting_ids = survey(csv, images)
        # disable=None: no bar where nobody watches it.
        with service_at(url) as kembar, tqdm(total=len(posting_ids), unit=" rows", disable=None, smoothing=0.05) as bar:
            listener = _listener(bar, retry_s)
            counts = FeedLoad(kembar, csv, images, listener, frozenset(posting_ids), retry_s).run()
    except FeedError as exc:
        raise CannotGoOn(str(exc)) from exc
    except CannotGoOn as exc:
        raise CannotGoOn(f"{exc} ({GO_ON})") from exc
    except KeyboardInterrupt:
        click.echo(f"Stopped. {GO_ON}", err=True)
        sys.exit(Exit.INTERRUPTED)
    click.echo(_summary(counts, time.monotonic() - started))
    sys.exit(Exit.SOME_BAD if counts[Outcome.BAD] else Exit.FINE)


def _listener(bar: "tqdm[None]", retry_s: float) -> Listener:
    def bad(row: BadRow) -> None:
        name = "" if row.posting_id is None else f" (posting {row.posting_id})"
        bar.write(printable(f"row {row.row}{name}: {row.reason}"), file=sys.stderr)

    def waiting(reason: str) -> None:
        bar.write(f"{reason}; trying again for {retry_s:g} s", file=sys.stderr)

    return Listener(lambda _outcome: bar.update(), bad, waiting)


def _summary(counts: Counter[Outcome], seconds: float) -> str:
    parts = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in Outcome)
    return f"{counts.total():,} rows in {seconds:.1f} s: {parts}"
