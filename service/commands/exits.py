"""What a command leaves behind: exit codes, one line where it cannot go on, text that is safe to print."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import NoReturn

import click


class Exit(IntEnum):
    """Exit codes of all commands; what each means for one stands in its help."""

    FINE = 0
    SOME_BAD = 1  # rows of an import, findings of a check; also click's own, for a disk that failed under a service
    USAGE = 2  # click's own
    CANNOT_GO_ON = 3
    PORT_IN_USE = 4
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


class CannotGoOn(click.ClickException):
    """Printed as one line on stderr."""

    exit_code = Exit.CANNOT_GO_ON


class PortInUse(CannotGoOn):
    """Somebody else listens there."""

    exit_code = Exit.PORT_IN_USE


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextmanager
def stoppable(go_on: str) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what is within, with one line: what is kept, and how to go on."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as exc:
        click.echo(f"Stopped. {go_on}", err=True)
        sys.exit(Exit.TERMINATED if isinstance(exc, _Terminated) else Exit.INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def printable(text: str) -> str:
    r"""
    A text from outside, fit for a terminal: what could steer it or turn the text around becomes a space.

    >>> printable("red \x1b[2J\u202emug")
    'red  [2J mug'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)
