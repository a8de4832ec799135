"""`kembar check`: is this data directory sound, is this bundle, and do the two belong together?"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from index.errors import DirectoryUnusable, IndexFault, IndexLocked
from index.verify import check_directory
from service.bundle.bundle import load_bundle
from service.bundle.errors import BundleError
from service.commands.exits import CannotGoOn, Exit, printable
from service.settings import Settings


class Finding(NamedTuple):
    """Something that is not as it should be: what kind of thing, in which file or directory, and what about it."""

    what: str
    where: str
    detail: str


@click.command()
@click.option("--data-dir", type=Path, envvar="KEMBAR_DATA_DIR", show_envvar=True, help="Directory of an index.")
@click.option("--bundle", type=Path, envvar="KEMBAR_BUNDLE", show_envvar=True, help="Directory of a bundle.")
@click.option("--json", "as_json", is_flag=True, help="Print counts and findings as JSON.")
def check(data_dir: Path | None, bundle: Path | None, as_json: bool) -> None:
    """
    Verify a data directory and a bundle offline.

    Nothing is changed, and the service must be stopped. Given one of the two options, only that one is checked; given
    none, both at their defaults.

    \b
    Examples: kembar check --data-dir data --bundle bundles/demo
              kembar check --data-dir backup/data --json
    Exit:     0 sound, 1 findings (one a line), 2 usage, 3 cannot check, 130 Ctrl-C
    """
    if data_dir is None and bundle is None:
        settings = Settings()
        data_dir, bundle = settings.data_dir, settings.bundle
    facts: dict[str, str | int | None] = dict.fromkeys(("encoder_id", "fingerprint", "postings", "pictures"))
    findings = list(_findings(data_dir, bundle, facts))
    if as_json:
        click.echo(json.dumps({**facts, "findings": [finding._asdict() for finding in findings]}))
    else:
        for finding in findings:
            click.echo(printable(": ".join(finding)))
    sys.exit(Exit.SOME_BAD if findings else Exit.FINE)


def _findings(data_dir: Path | None, bundle: Path | None, facts: dict[str, str | int | None]) -> Iterator[Finding]:
    """What is found; `facts` are filled in on the way."""
    made_with = stored_with = None
    if bundle is not None:
        try:
            loaded = load_bundle(bundle, threads=1)
            made_with = loaded.manifest.encoder_id
            facts |= {"encoder_id": made_with, "fingerprint": loaded.fingerprint}
            click.echo(f"{bundle}: bundle {loaded.fingerprint}, encoders {made_with}", err=True)
        except BundleError as exc:
            yield Finding("bundle", str(bundle), str(exc))
    if data_dir is not None:
        try:
            found = check_directory(data_dir)
            stored_with = found.encoder_id
            facts |= {"encoder_id": stored_with, "postings": found.postings, "pictures": found.pictures}
            counts = f"{found.postings:,} postings, {found.pictures:,} pictures"
            click.echo(f"{data_dir}: {counts}, encoders {stored_with}", err=True)
            yield from (Finding(one.damage, str(data_dir / one.file), one.detail) for one in found.findings)
        except (DirectoryUnusable, IndexLocked) as exc:
            raise CannotGoOn(str(exc)) from exc
        except IndexFault as exc:
            yield Finding("database", str(data_dir), str(exc))
    if made_with and stored_with and made_with != stored_with:
        detail = f"holds vectors of {stored_with}, {bundle} makes those of {made_with}"
        yield Finding("encoders", str(data_dir), detail)
