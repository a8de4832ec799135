"""Views, and the sets of views that two postings share."""

from collections.abc import Iterable
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


def view_set_key(views: Iterable[str]) -> str:
    """
    Name a set of views in one fixed order, as bundle.json does.

    >>> view_set_key({"title", "image"})
    'image+title'
    """
    present = set(views)
    return "+".join(view for view in View if view in present)
