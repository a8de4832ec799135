"""`kembar check`: is this data directory sound, is this bundle, and do the two belong together?"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from index.errors import DirectoryUnusable, IndexFault, IndexLocked
from index.verify import check_directory
from service.bundle.bundle import load_bundle
from service.bundle.errors import BundleError
from service.commands.exits import CannotGoOn, Exit, printable
from service.settings import Settings


@click.command()
@click.option("--data-dir", type=Path, envvar="KEMBAR_DATA_DIR", show_envvar=True, help="Directory of an index.")
@click.option("--bundle", type=Path, envvar="KEMBAR_BUNDLE", show_envvar=True, help="Directory of a bundle.")
def check(data_dir: Path | None, bundle: Path | None) -> None:
    """
    Verify a data directory and a bundle offline.

    Nothing is changed, and the service must be stopped. Given one of the two options, only that one is checked; given
    none, both at their defaults.

    \b
    Example:  kembar check --data-dir data --bundle bundles/demo
    Exit:     0 sound, 1 findings (one a line), 2 usage, 3 cannot check
    """
    if data_dir is None and bundle is None:
        settings = Settings()
        data_dir, bundle = settings.data_dir, settings.bundle
    findings = list(_findings(data_dir, bundle))
    for finding in findings:
        click.echo(printable(finding))
    sys.exit(Exit.SOME_BAD if findings else Exit.FINE)


def _findings(data_dir: Path | None, bundle: Path | None) -> Iterator[str]:
    made_with = stored_with = None
    if bundle is not None:
        try:
            loaded = load_bundle(bundle, threads=1)
            made_with = loaded.manifest.encoder_id
            click.echo(f"{bundle}: bundle {loaded.fingerprint}, encoders {made_with}", err=True)
        except BundleError as exc:
            yield f"bundle: {exc}"
    if data_dir is not None:
        try:
            report = check_directory(data_dir)
            stored_with = report.encoder_id
            counts = f"{report.postings:,} postings, {report.pictures:,} pictures"
            click.echo(f"{data_dir}: {counts}, encoders {stored_with}", err=True)
            yield from (f"{finding.damage}: {data_dir / finding.file}: {finding.detail}" for finding in report.findings)
        except (DirectoryUnusable, IndexLocked) as exc:
            raise CannotGoOn(str(exc)) from exc
        except IndexFault as exc:
            yield f"database: {exc}"
    if made_with and stored_with and made_with != stored_with:
        yield f"encoders: {data_dir} holds vectors of {stored_with}, {bundle} makes those of {made_with}"
