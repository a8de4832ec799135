"""`kembar reembed`: the data directory of a stopped service moves to a bundle with other encoders."""

import json
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path

import click
import numpy as np
from tqdm import tqdm

from index.errors import IndexFault, StorageFull
from index.reembed import Move, Original, StoppedIndex, Survey
from index.rows import to_posting
from index.scoring import cosine, unit_float64
from index.table import Binding
from service.bundle.bundle import Bundle, load_bundle
from service.bundle.errors import BundleError, ModelFault, PostingError
from service.bundle.picture import decode_picture, picture_tensor
from service.bundle.picture_checks import check_picture
from service.bundle.views import View
from service.commands.exits import CannotGoOn, stoppable
from service.commands.output import whole_file
from service.cpu_budget import granted_threads
from service.encoding import MAX_IMAGE_BATCH, MAX_TITLE_BATCH, Vector
from service.settings import Settings

GO_ON = "What was encoded is kept, and until the end the old bundle serves; the same command goes on from here."
COMMIT = 64  # postings: what a kill can cost; the encoders work on while the disk syncs
SAMPLE = 1_000
Encoded = tuple[Original, Mapping[str, Vector]]


@dataclass(frozen=True, slots=True)
class Nearness:
    """Cosines of re-made vectors and stored ones, of so many postings that have the view."""

    postings: int
    least: float
    one_percent: float
    median: float


@dataclass(frozen=True, slots=True)
class Report:
    """
    What was done.

    `re_embedded` counts this run, `without_picture` those that keep their title only. `nearness` is per view, where
    the bundle has the encoders of the index and nothing was to be moved.
    """

    encoder_id: str
    postings: int
    re_embedded: int
    without_picture: int = 0
    left_out: int = 0
    nearness: Mapping[str, Nearness] | None = None


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Settings.model_fields["data_dir"].default,
    envvar="KEMBAR_DATA_DIR",
    show_envvar=True,
    show_default=True,
    help="Directory of the stopped service's index.",
)
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Bundle to move to.")
@click.option(
    "--leave-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Leave out the postings that cannot be moved; this file gets their ids.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def reembed(data_dir: Path, bundle: Path, leave_out: Path | None, as_json: bool) -> None:
    """
    Move the data of a stopped service to another bundle, which has other encoders.

    All vectors are made anew, from the stored pictures and titles. Until the end the old ones serve, and a reembed that
    was broken off goes on where it was; then they are replaced at once. To be able to go back, copy the directory
    first. A posting whose picture is not stored keeps its title only, until an import sends the picture again.

    Where the bundle has the very encoders of the index, nothing is changed: it is measured how near vectors made of
    the stored pictures come to those of the original ones. Do that with the old bundle before you move.

    \b
    Example:  kembar reembed --data-dir data --bundle bundles/new
    Exit:     0 done, 2 usage, 3 cannot go on (the line says why), 130 Ctrl-C, 143 SIGTERM
    """
    started = time.monotonic()
    try:
        with stoppable(GO_ON), closing(StoppedIndex(data_dir, _readable)) as source:
            # A thread for each batch and a batch for each thread: decoding and storing then keep no encoder waiting.
            loaded = load_bundle(bundle, threads=1)
            binding = Binding(loaded.manifest.encoder_id, dict(sorted(loaded.dimensions.items())))
            if source.store.binding() == binding:
                report = _measure(source, loaded)
            else:
                report = _move(source, loaded, binding, leave_out)
    except StorageFull as exc:
        raise CannotGoOn(f"{exc}. {GO_ON}") from exc
    except (BundleError, IndexFault, ModelFault, PostingError) as exc:
        raise CannotGoOn(str(exc)) from exc
    seconds = round(time.monotonic() - started, 1)
    click.echo(json.dumps({**asdict(report), "seconds": seconds}) if as_json else _text(report, seconds))


def _move(source: StoppedIndex, bundle: Bundle, binding: Binding, leave_out: Path | None) -> Report:
    with closing(Move(source, binding)) as move:
        survey = move.survey(tqdm(source.labels(), "reading", unit=" postings", disable=None))
        _settle_left_out(survey, leave_out)
        if survey.without_picture:
            click.echo(f"{survey.without_picture:,} postings have lost their picture and keep their title", err=True)
        postings = len(survey.to_move) + len(survey.moved_before)
        move.require_room(postings)
        encoded = _encoded(bundle, source.originals(survey.to_move))
        done = len(survey.moved_before)
        with tqdm(desc="encoding", total=postings, initial=done, unit=" postings", disable=None) as bar:
            while group := list(islice(encoded, COMMIT)):
                move.add(group)
                bar.update(len(group))
        move.switch(postings)
    left_out, encoder_id = len(survey.left_out), binding.encoder_id
    return Report(encoder_id, postings, len(survey.to_move), survey.without_picture, left_out)


def _settle_left_out(survey: Survey, leave_out: Path | None) -> None:
    if survey.left_out and leave_out is None:
        reasons = Counter(reason for _, reason in survey.left_out)
        counts = "; ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
        every = len(survey.left_out) + len(survey.to_move) + len(survey.moved_before)
        raise CannotGoOn(
            f"{reasons.total():,} of {every:,} postings cannot be moved ({counts}). Serve with the old bundle and "
            f"import them again, or go on without them: --leave-out FILE, which gets their ids"
        )
    if leave_out is not None:
        with whole_file(leave_out) as file:
            for posting_id, reason in survey.left_out:
                file.write(json.dumps({"posting_id": posting_id, "reason": reason}).encode() + b"\n")


def _measure(source: StoppedIndex, bundle: Bundle) -> Report:
    labels = source.labels()
    sample = sorted(random.Random(0).sample(labels, min(SAMPLE, len(labels))))
    cosines: dict[str, list[float]] = defaultdict(list)
    encoded = _encoded(bundle, source.originals(sample))
    for original, vectors in tqdm(encoded, "measuring", total=len(sample), unit=" postings", disable=None):
        stored = to_posting(original.row, bundle.dimensions).vectors
        for view in vectors.keys() & stored.keys():
            cosines[view].append(cosine(stored[view], unit_float64(vectors[view].astype(np.float16))))
    nearness = {
        view: Nearness(len(found), min(found), float(np.percentile(found, 1)), float(np.median(found)))
        for view, found in sorted(cosines.items())
    }
    return Report(bundle.manifest.encoder_id, len(labels), 0, nearness=nearness)


def _encoded(bundle: Bundle, originals: Iterator[Original]) -> Iterator[Encoded]:
    """In order; a few batches ahead, so that the encoders work on while what they gave is being stored."""
    threads = granted_threads()
    waiting: deque[Future[list[Encoded]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(originals, MAX_TITLE_BATCH)):
            waiting.append(pool.submit(_encode, bundle, batch))
            if len(waiting) > 2 * threads:
                yield from waiting.popleft().result()
        yield from chain.from_iterable(future.result() for future in waiting)


def _encode(bundle: Bundle, batch: list[Original]) -> list[Encoded]:
    titles = list({one.title: None for one in batch if one.title is not None})
    by_title = dict(zip(titles, bundle.encode_titles(titles), strict=True)) if titles else {}
    # Variants of a product lie side by side and share a picture.
    pictures = {one.row.content.image_digest: one.picture for one in batch if one.picture is not None}
    by_digest = dict(zip(pictures, _image_vectors(bundle, list(pictures.values())), strict=True))
    encoded: list[Encoded] = []
    for one in batch:
        vectors = {} if one.title is None else dict(by_title[one.title])
        if one.picture is not None:
            vectors[View.IMAGE.value] = by_digest[one.row.content.image_digest]
        encoded.append((one, vectors))
    return encoded


def _image_vectors(bundle: Bundle, pictures: list[bytes]) -> list[Vector]:
    spec = bundle.manifest.picture
    tensors = [picture_tensor(decode_picture(picture, spec.decode_side), spec) for picture in pictures]
    starts = range(0, len(tensors), MAX_IMAGE_BATCH)
    return [row for start in starts for row in bundle.image.encode(np.stack(tensors[start : start + MAX_IMAGE_BATCH]))]


def _readable(picture: bytes) -> bool:
    try:
        check_picture(picture)
    except PostingError:
        return False
    return True


def _text(report: Report, seconds: float) -> str:
    if report.nearness is None:
        return (
            f"{report.postings:,} postings have vectors of {report.encoder_id} now, {report.re_embedded:,} made in "
            f"{seconds} s; {report.without_picture:,} keep their title only, {report.left_out:,} left out.\n"
            f"How near vectors of stored pictures come to those of the original ones could be measured only before, "
            f"with the old bundle."
        )
    lines = [f"The index has vectors of {report.encoder_id} already, as the bundle: nothing is changed."]
    lines += ["Vectors made of what is stored against the index's own, cosine:"]
    lines += ["view   postings   least     1 %  median"]
    for view, near in report.nearness.items():
        lines += [f"{view}  {near.postings:8,}  {near.least:.4f}  {near.one_percent:.4f}  {near.median:.4f}"]
    return "\n".join(lines)
