"""What a command leaves behind: exit codes, one line where it cannot go on, text that is safe to print."""

from enum import IntEnum

import click


class Exit(IntEnum):
    """Exit codes of all commands; click itself ends with 2 on wrong usage."""

    FINE = 0
    SOME_BAD = 1  # rows of an import, findings of a check; also click's own, for a disk that failed under a service
    CANNOT_GO_ON = 3
    PORT_IN_USE = 4
    INTERRUPTED = 130


class CannotGoOn(click.ClickException):
    """Printed as one line on stderr."""

    exit_code = Exit.CANNOT_GO_ON


class PortInUse(CannotGoOn):
    """Somebody else listens there."""

    exit_code = Exit.PORT_IN_USE


def printable(text: str) -> str:
    r"""
    A text from outside, fit for a terminal: what could steer it or turn the text around becomes a space.

    >>> printable("red \x1b[2J\u202emug")
    'red  [2J mug'
    """
    return "".join(letter if letter.isprintable() else " " for letter in text)
