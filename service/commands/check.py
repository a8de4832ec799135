"""`kembar check`: is this data directory sound, is this bundle, and do the two belong together?"""

import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

from index.errors import DirectoryUnusable, IndexFault, IndexLocked
from index.verify import check_directory
from service.bundle.bundle import load_bundle
from service.bundle.errors import BundleError
from service.commands.exits import CannotGoOn, Exit, printable
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be: what kind of thing, in which file or directory, and what about it."""

    what: str
    where: str
    detail: str


@dataclass
class Report:
    """What was found; `encoder_id` is the directory's, or the bundle's where no directory was checked."""

    encoder_id: str | None = None
    fingerprint: str | None = None
    postings: int | None = None
    pictures: int | None = None
    findings: list[Finding] = field(default_factory=list)


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
    report = Report()
    if bundle is not None:
        _check_bundle(bundle, report)
    if data_dir is not None:
        _check_directory(data_dir, bundle, report)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        for finding in report.findings:
            click.echo(printable(f"{finding.what}: {finding.where}: {finding.detail}"))
    sys.exit(Exit.SOME_BAD if report.findings else Exit.FINE)


def _check_bundle(bundle: Path, report: Report) -> None:
    try:
        loaded = load_bundle(bundle, threads=1)
    except BundleError as exc:
        report.findings.append(Finding("bundle", str(bundle), str(exc)))
        return
    report.encoder_id, report.fingerprint = loaded.manifest.encoder_id, loaded.fingerprint
    click.echo(f"{bundle}: bundle {loaded.fingerprint}, encoders {report.encoder_id}", err=True)


def _check_directory(data_dir: Path, bundle: Path | None, report: Report) -> None:
    try:
        found = check_directory(data_dir)
    except (DirectoryUnusable, IndexLocked) as exc:
        raise CannotGoOn(str(exc)) from exc
    except IndexFault as exc:
        report.findings.append(Finding("database", str(data_dir), str(exc)))
        return
    counts = f"{found.postings:,} postings, {found.pictures:,} pictures"
    click.echo(f"{data_dir}: {counts}, encoders {found.encoder_id}", err=True)
    for one in found.findings:
        report.findings.append(Finding(str(one.damage), str(data_dir / one.file), one.detail))
    if report.encoder_id not in (None, found.encoder_id):
        detail = f"holds vectors of {found.encoder_id}, {bundle} makes those of {report.encoder_id}"
        report.findings.append(Finding("encoders", str(data_dir), detail))
    report.encoder_id, report.postings, report.pictures = found.encoder_id, found.postings, found.pictures
