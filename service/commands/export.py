"""`kembar export`: all stored postings as lines of JSON."""

import json
import time
from pathlib import Path

import click
from tqdm import tqdm

from kembar_client.requests import Where
from service.commands.calling import filter_option, posting_count, service_at, url_option
from service.commands.exits import stoppable
from service.commands.output import out_option, whole_file


@click.command()
@out_option
@click.option("--vectors", is_flag=True, help="With the vectors of each view, exactly as the index holds them.")
@filter_option
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the closing summary as JSON, on stderr.")
def export(out: Path | None, vectors: bool, where: Where | None, url: str, as_json: bool) -> None:
    """
    Write all stored postings as lines of JSON.

    One posting a line, in order of id: posting_id, title, metadata, views, revision, image_sha256, created_at,
    updated_at and, on request, vectors; no pictures. What is written meanwhile may be there or not.

    \b
    Examples:  kembar export --out postings.ndjson
               kembar export --vectors --filter '{"category": "Home"}' | gzip > home.ndjson.gz
    Exit:      0 all written, 2 usage, 3 cannot go on, 130 Ctrl-C, 143 SIGTERM; then no file is left
    """
    started, count, left_out = time.monotonic(), 0, None if vectors else {"vectors"}
    with stoppable("Nothing is kept; the same command begins anew."), service_at(url) as kembar:
        total = posting_count(kembar, where)
        with whole_file(out) as file, tqdm(total=total, unit=" postings", disable=None) as bar:
            for count, posting in enumerate(kembar.scan(where=where, with_vectors=vectors), 1):  # noqa: B007
                file.write(posting.model_dump_json(exclude=left_out).encode() + b"\n")
                bar.update()
    seconds = round(time.monotonic() - started, 3)
    summary = json.dumps({"postings": count, "seconds": seconds}) if as_json else f"{count:,} postings in {seconds} s"
    click.echo(summary, err=True)
