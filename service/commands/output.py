"""Files that are there only once they are whole."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from service.commands.exits import CannotGoOn

out_option = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, there once it is whole; stdout without it.",
)


def partial_of(path: Path) -> Path:
    """Where the lines of an unfinished file are."""
    return path.with_name(f"{path.name}.partial")


@contextmanager
def whole_file(path: Path | None) -> Iterator[BinaryIO]:
    """What is written takes the place of `path` at the end, or is gone where anything goes wrong; None is stdout."""
    if path is None:
        with writable(None):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    partial = partial_of(path)
    with writable(path), partial.open("wb") as file:
        try:
            yield file
            settle(file, path)
        finally:
            partial.unlink(missing_ok=True)


def settle(file: BinaryIO, path: Path) -> None:
    """Make an unfinished file the finished one."""
    synced(file)
    partial_of(path).replace(path)


def synced(file: BinaryIO) -> None:
    """Return once what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def writable(path: Path | None) -> Iterator[None]:
    """Raises CannotGoOn where the system refuses to write."""
    try:
        yield
    except BrokenPipeError:  # whoever reads stdout has seen enough
        raise
    except OSError as exc:
        name = path or "standard output"
        raise CannotGoOn(f"{name} cannot be written: {exc.strerror}; make room or choose another file") from exc
