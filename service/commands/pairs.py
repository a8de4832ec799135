"""`kembar pairs`: the duplicates that a shop already has."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import click
from pydantic import JsonValue, ValidationError
from tqdm import tqdm

from kembar_client import Goal
from kembar_client.requests import Where
from service.commands.calling import filter_option, goal_option, posting_count, service_at, threshold_option, url_option
from service.commands.exits import CannotGoOn, stoppable
from service.commands.output import out_option, partial_of, settle, synced, whole_file, writable
from service.commands.pair_walk import MOST, PairWalk, Progress

PAGE = 200


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
    Write every matched pair of stored postings as lines of JSON.

    Each pair once, the smaller id first: a, b, probability, score, threshold, views, goal_supported, variant_conflict,
    image_score, title_score, lexical_score. With --out a run that was broken off goes on where it was: until it is done
    the lines are in FILE.partial, and FILE.progress says how far they are. What is added meanwhile may be left out.

    \b
    Examples:  kembar pairs --out pairs.ndjson
               kembar pairs --goal precision_99 --filter '{"category": "Home"}' | head
    Exit:      0 all written, 2 usage, 3 cannot go on, 130 Ctrl-C, 143 SIGTERM; then the same command goes on
    """
    if goal and threshold is not None:
        raise click.UsageError("Give --goal or --threshold, not both.")
    go_on = "With --out it could go on." if out is None else "What was found is kept; the same command goes on."
    started, chosen = time.monotonic(), Goal(goal) if goal else None
    with stoppable(go_on), service_at(url, go_on) as kembar:
        model = kembar.model().fingerprint
        question: dict[str, JsonValue] = {"url": url, "model": model, "goal": goal, "threshold": threshold}
        question["filter"] = {**where} if where else None
        total = posting_count(kembar, where)
        with (
            _begun(out, question, restart) as (file, progress),
            tqdm(total=total, initial=progress.postings, unit=" postings", disable=None) as bar,
        ):
            ask = partial(kembar.matches_of, goal=chosen, threshold=threshold, where=where)
            walk = PairWalk(lambda posting_id, offset: ask(posting_id, offset=offset), progress)
            if progress.postings:
                bar.write(f"Going on after {progress.postings:,} postings, {progress.pairs:,} pairs.", file=sys.stderr)
            for lines in walk.pages(lambda cursor: kembar.listing(cursor=cursor, limit=PAGE, where=where)):
                with writable(out):
                    file.write(lines)
                    _keep(out, file, progress)
                bar.update(progress.postings - bar.n)
    seconds = time.monotonic() - started
    click.echo(_json(progress, seconds) if as_json else _summary(progress, seconds), err=True)


@contextmanager
def _begun(out: Path | None, question: dict[str, JsonValue], restart: bool) -> Iterator[tuple[BinaryIO, Progress]]:
    """The file of an unfinished run and how far it came; an empty one where there is none or it shall not count."""
    if out is None:
        yield sys.stdout.buffer, Progress(question=question)
        return
    with writable(out):
        file = partial_of(out).open("a+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), partial_of(out).stat())
        except OSError:
            is_ours = False
        if not is_ours:  # also where it was finished by another between opening and locking it
            raise CannotGoOn(f"another run is writing {out}: wait for it, or choose another file")
        progress = Progress(question=question) if restart else _kept(out, question)
        if file.seek(0, os.SEEK_END) < progress.size:
            progress = Progress(question=question)
        file.truncate(progress.size)
        yield file, progress


def _kept(out: Path, question: dict[str, JsonValue]) -> Progress:
    file = _progress_of(out)
    try:
        progress = Progress.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Progress(question=question)
    except ValidationError as exc:
        raise CannotGoOn(f"{file} cannot be read: --restart begins anew") from exc
    if other := [name for name, value in question.items() if progress.question.get(name) != value]:
        raise CannotGoOn(
            f"{partial_of(out)} is of an unfinished run with another {', '.join(other)}: go on with what it was "
            "started with, or begin anew with --restart"
        )
    return progress


def _keep(out: Path | None, file: BinaryIO, progress: Progress) -> None:
    """First the lines, then how far they are: what a broken run has beyond that is cut off when it goes on."""
    if out is None:
        file.flush()
    elif progress.cursor is None:
        _progress_of(out).unlink(missing_ok=True)
        settle(file, out)
    else:
        synced(file)
        with whole_file(_progress_of(out)) as small:
            small.write(progress.model_dump_json().encode())


def _progress_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.progress")


def _json(progress: Progress, seconds: float) -> str:
    counts = progress.model_dump(include={"postings", "pairs", "deleted", "cut_lists"})
    return json.dumps({**counts, "seconds": round(seconds, 3), **progress.question})


def _summary(progress: Progress, seconds: float) -> str:
    text = f"{progress.pairs:,} pairs among {progress.postings:,} postings in {seconds:.1f} s"
    if progress.deleted:
        text += f"; {progress.deleted:,} were deleted meanwhile"
    if progress.cut_lists:
        text += (
            f"\n{progress.cut_lists:,} postings have more than {MOST:,} matches, and the rest of theirs is missing. "
            "A higher --threshold has fewer."
        )
    return text
