"""The file of `kembar pairs`: begun, broken off, gone on with, and there under its name once it is whole."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from service.commands.exits import CannotGoOn
from service.commands.output import partial_of, settle, synced, whole_file, writable
from service.commands.pair_walk import Asked, Progress


@dataclass(frozen=True, slots=True)
class PairFile:
    """
    The lines so far, in a file of their own beside `path`, and a small file that says how far they are.

    The small one is written after the lines that it counts are on the disk; what is behind them is cut off again.
    Without a path the lines go to stdout, and nothing is kept.
    """

    path: Path | None
    lines: BinaryIO
    progress: Progress

    def read(self) -> Iterator[bytes]:
        """The lines of earlier runs."""
        if self.path is not None:
            self.lines.seek(0)
            yield from self.lines

    def add(self, lines: bytes) -> None:
        """Keep the lines of a page, after which `progress` is what it is now."""
        with writable(self.path):
            self.lines.write(lines)
            if self.path is None:
                self.lines.flush()
                return
            if self.progress.cursor is None:
                _progress_of(self.path).unlink(missing_ok=True)
                settle(self.lines, self.path)
                return
            synced(self.lines)
            with whole_file(_progress_of(self.path)) as file:
                file.write(self.progress.model_dump_json().encode())


@contextmanager
def pair_file(path: Path | None, asked: Asked, restart: bool) -> Iterator[PairFile]:
    """
    What an unfinished run left, or an empty file where there is none or it shall not count.

    Raises:
        CannotGoOn: the unfinished run asked something else, is still going on, or the file cannot be written.
    """
    if path is None:
        yield PairFile(None, sys.stdout.buffer, Progress(asked=asked))
        return
    with writable(path):
        file = partial_of(path).open("a+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.fstat(file.fileno()), partial_of(path).stat())
        except OSError:
            is_ours = False
        if not is_ours:  # also where it was finished by another between opening and locking it
            raise CannotGoOn(f"another run is writing {path}: wait for it, or choose another file")
        progress = Progress(asked=asked) if restart else _kept(path, asked)
        if file.seek(0, os.SEEK_END) < progress.size:
            progress = Progress(asked=asked)
        file.truncate(progress.size)
        yield PairFile(path, file, progress)


def _kept(path: Path, asked: Asked) -> Progress:
    try:
        progress = Progress.model_validate_json(_progress_of(path).read_bytes())
    except FileNotFoundError:
        return Progress(asked=asked)
    except ValidationError as exc:
        raise CannotGoOn(f"{_progress_of(path)} cannot be read: --restart begins anew") from exc
    other = [name for name in Asked.model_fields if getattr(progress.asked, name) != getattr(asked, name)]
    if other:
        raise CannotGoOn(
            f"{partial_of(path)} is of an unfinished run with another {', '.join(other)}: go on with what it was "
            "started with, or begin anew with --restart"
        )
    return progress


def _progress_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.progress")
