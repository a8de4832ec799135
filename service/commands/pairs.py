"""`kembar pairs`: the duplicates that a shop already has."""

import json
import sys
import time
from pathlib import Path

import click
from tqdm import tqdm

from kembar_client.requests import Where
from service.commands.calling import filter_option, goal_option, posting_count, service_at, threshold_option, url_option
from service.commands.exits import stoppable
from service.commands.output import out_option
from service.commands.pair_file import pair_file
from service.commands.pair_walk import Asked, PairWalk, Progress


@click.command()
@out_option
@click.option("--restart", is_flag=True, help="Begin anew where an unfinished run of another question is in the way.")
@goal_option
@threshold_option
@filter_option
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the closing summary as JSON, on stderr.")
def pairs(
    out: Path | None,
    restart: bool,
    goal: str | None,
    threshold: float | None,
    where: Where | None,
    url: str,
    as_json: bool,
) -> None:
    """
    Write every matched pair of the stored postings as lines of JSON.

    Each pair once, the smaller id first: a, b, probability, score, threshold, views, goal_supported, variant_conflict,
    image_score, title_score. With --out a run that was broken off goes on where it was: until it is done the lines are
    in FILE.partial, and FILE.progress says how far they are. What is added meanwhile may be left out.

    The service lists at most 50 matches of a posting. A pair that one side lists is found; the closing summary says how
    many postings had more, because a pair of two such postings may be missing.

    \b
    Examples:  kembar pairs --out pairs.ndjson
               kembar pairs --goal precision_99 --filter '{"category": "Home"}' | head
    Exit:      0 all written, 2 usage, 3 cannot go on, 130 Ctrl-C, 143 SIGTERM; then the same command goes on
    """
    if goal and threshold is not None:
        raise click.UsageError("Give --goal or --threshold, not both.")
    kept = "With --out it could go on." if out is None else "What was found is kept; the same command goes on."
    started = time.monotonic()
    with stoppable(kept), service_at(url, kept) as kembar:
        question = {"url": url, "model": kembar.model().fingerprint, "goal": goal, "threshold": threshold}
        asked = Asked.model_validate({**question, "filter": where})
        total = posting_count(kembar, where)
        with pair_file(out, asked, restart) as file, tqdm(total=total, unit=" postings", disable=None) as bar:
            progress = file.progress
            if progress.postings:
                bar.write(f"Going on after {progress.postings:,} postings, {progress.pairs:,} pairs.", file=sys.stderr)
            for lines in PairWalk(kembar, progress, file.read()).pages():
                file.add(lines)
                bar.update(progress.postings - bar.n)
    seconds = time.monotonic() - started
    click.echo(_json(progress, seconds) if as_json else _summary(progress, seconds), err=True)


def _json(progress: Progress, seconds: float) -> str:
    counts = {"postings": progress.postings, "pairs": progress.pairs, "deleted": progress.deleted}
    cut = {"cut_lists": len(progress.cut), "seconds": round(seconds, 3)}
    return json.dumps({**counts, **cut, **progress.asked.model_dump(mode="json")})


def _summary(progress: Progress, seconds: float) -> str:
    text = f"{progress.pairs:,} pairs among {progress.postings:,} postings in {seconds:.1f} s"
    if progress.deleted:
        text += f"; {progress.deleted:,} were deleted meanwhile"
    if progress.cut:
        text += (
            f"\n{len(progress.cut):,} postings have more than 50 matches, the most that the service lists: pairs of "
            "two of these may be missing. A higher --threshold has fewer."
        )
    return text
