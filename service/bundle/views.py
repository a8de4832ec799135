"""Views, and the sets of views that two postings share."""

from collections.abc import Container, Iterable
from enum import StrEnum


class View(StrEnum):
    """One way of looking at a posting; it gives one unit vector. TITLE is what it means, LEXICAL how it is written."""

    IMAGE = "image"
    TITLE = "title"
    LEXICAL = "lexical"


TITLE_VIEWS = frozenset({View.TITLE, View.LEXICAL})
"""Those that a title gives; a bundle may do without the second."""


class Goal(StrEnum):
    """What the caller wants of the threshold."""

    PRECISION_99 = "precision_99"
    BALANCED = "balanced"
    RECALL_90 = "recall_90"


def in_order(views: Container[str]) -> tuple[str, ...]:
    """The names of the views that are there, in the one order of all answers and files."""
    return tuple(str(view) for view in View if view in views)


def view_set_key(views: Iterable[str]) -> str:
    """
    Name a set of views, as bundle.json does.

    >>> view_set_key({"title", "image"})
    'image+title'
    """
    return "+".join(in_order(set(views)))
