"""An index of made-up postings that moves to other encoders, step by step, in a process that may end at any of them."""

import fcntl
import itertools
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np

from index import reembed
from index.index import Index
from index.postings import Draft
from index.reembed import Move, Original, StoppedIndex, Survey
from index.store import Binding, Store
from tests.index.oracle import WEIGHTS, Vectors, unit

OLD = Binding("sha256:one", {"image": 6, "title": 4})
NEW = Binding("sha256:two", {"image": 3, "title": 9})
STEPS = [
    *[(Store, name) for name in ("insert", "write_ledger", "checkpoint", "remove_unread")],
    *[(Path, name) for name in ("unlink", "replace")],
    (reembed, "sync_path"),
    (reembed.shutil, "rmtree"),
]
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2  # as if the power went: neither data nor journal are written out
Stored = Mapping[str, tuple[object, ...]]


def embed(binding: Binding, title: str | None, picture: bytes | None) -> Vectors:
    """The vectors that these encoders give, the same in every process."""
    found = {"title": None if title is None else title.encode(), "image": picture}
    return {view: _one(binding, view, content) for view, content in found.items() if content is not None}


def _one(binding: Binding, view: str, content: bytes) -> np.ndarray:
    seed = blake2b(f"{binding.encoder_id} {view} ".encode() + content, digest_size=8).digest()
    return unit(np.random.default_rng(list(seed)), binding.dimensions[view])


def draft(number: int, version: int = 0) -> Draft:
    """Of every four postings two have both views, one a title only, one a picture only; some share a picture."""
    title = None if number % 4 == 3 else f"mug {number}, {version}"
    picture = None if number % 4 == 1 else f"picture {number // 8} {version}".encode()
    digest = None if picture is None else blake2b(picture, digest_size=32).hexdigest()
    vectors = embed(OLD, title, picture)
    return Draft(f"p{number:02}", title, {"n": number, "v": version}, vectors, digest, picture)


def fill(path: Path, numbers: range) -> None:
    """An index of these postings, closed."""
    with closing(opened(path, OLD)) as index:
        for number in numbers:
            index.put(draft(number)).result(10)


def opened(path: Path, binding: Binding) -> Index:
    """Raises EncoderMismatch where the index is of others."""
    return Index.open(path, encoder_id=binding.encoder_id, dimensions=binding.dimensions, weights=WEIGHTS)


def stored(path: Path, binding: Binding) -> Stored:
    """Everything that a caller can learn of every posting."""
    with closing(opened(path, binding)) as index:
        return {
            one.posting_id: (
                one.revision,
                one.created_at,
                one.updated_at,
                one.title,
                one.metadata,
                one.image_digest,
                {view: vector.tobytes() for view, vector in one.vectors.items()},
            )
            for one in index.scan(after=None, limit=1000)
        }


def expected(before: Stored, pictures: Mapping[str, bytes]) -> Stored:
    """What `before` has to become; `pictures` by the digest of their upload."""
    after = {}
    for posting_id, (revision, created, updated, title, metadata, digest, _) in before.items():
        picture = pictures.get(str(digest))
        if title is not None or picture is not None:
            vectors = embed(NEW, None if title is None else str(title), picture)
            halves = {view: vector.astype(np.float16).tobytes() for view, vector in sorted(vectors.items())}
            kept = digest if picture is not None else None
            after[posting_id] = (revision, created, updated, title, metadata, kept, halves)
    return after


def pictures_of(*drafts: Draft) -> dict[str, bytes]:
    """The stored pictures by digest."""
    return {str(one.image_digest): one.picture for one in drafts if one.picture is not None}


def move(path: Path, binding: Binding = NEW, *, most: int | None = None, in_a_group: int = 3) -> Survey:
    """As `kembar reembed` does; `most` breaks off after so many postings."""
    with closing(StoppedIndex(path, lambda picture: True)) as source, closing(Move(source, binding)) as moving:
        survey = moving.survey(source.labels())
        moving.require_room(len(survey.to_move))
        todo = iter(survey.to_move[:most])
        while labels := list(itertools.islice(todo, in_a_group)):
            originals = [source.original(label) for label in labels]
            moving.add([(one, encoded(one, binding)) for one in originals])
        if most is None:
            moving.switch(len(survey.moved_before) + len(survey.to_move))
        return survey


def encoded(original: Original, binding: Binding) -> Vectors:
    """The new vectors."""
    return embed(binding, original.title, original.picture)


class Steps:
    """Counts what a move does to the disk, and ends the process before a chosen step."""

    def __init__(self, last: int, end: Callable[[], None]) -> None:
        self.names: list[str] = []
        self._last, self._end = last, end

    def watch(self, owner: object, name: str) -> None:
        original = getattr(owner, name)

        def step(*given: object, **named: object) -> object:
            if len(self.names) == self._last:
                self._end()
            self.names.append(name if name != "sync_path" else f"sync {Path(str(given[0])).name}")
            return original(*given, **named)

        setattr(owner, name, step)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def cut_power(place: Path) -> None:
    """From now on nothing reaches the disk."""
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    die()


@contextmanager
def mortal_moves() -> Iterator[Callable[[Path, int, Path | None], list[str]]]:
    """
    A function that moves a directory up to a step, in a process that ends there by SIGKILL, or by a cut of the power.

    It returns the names of all steps once the move came to its end, and none before.
    """
    command = [sys.executable, "-m", "tests.index.moving"]
    root = Path(__file__).parents[2]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ask, hear = process.stdin, process.stdout

        def mortal(path: Path, last: int, power: Path | None = None) -> list[str]:
            ask.write(f"{path}\t{last}\t{power or ''}\n")
            ask.flush()
            return hear.readline().rstrip("\n").split(";")[1:]

        yield mortal


def main() -> None:
    """Moves as the lines of standard input tell, each in a child that was forked before anything was opened."""
    for line in sys.stdin:
        path, last, power = line.rstrip("\n").split("\t")
        if os.fork() == 0:
            steps = Steps(int(last), (lambda place=Path(power): cut_power(place)) if power else die)
            for owner, name in STEPS:
                steps.watch(owner, name)
            move(Path(path))
            os.write(1, "".join([*(f";{name}" for name in steps.names), "\n"]).encode())
            os._exit(0)
        if os.waitstatus_to_exitcode(os.wait()[1]):
            os.write(1, b"\n")


if __name__ == "__main__":
    main()
