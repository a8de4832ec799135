"""What goes into the index and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from index.errors import RevisionMismatch

Scalar: TypeAlias = bool | int | float | str | None
JsonValue: TypeAlias = "Scalar | list[JsonValue] | dict[str, JsonValue]"
UnitVector: TypeAlias = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Draft:
    """
    The whole of a posting as it shall be.

    `vectors` holds per view one unit vector (dim,); at least one. `image_digest` is the SHA-256 (hex) of the picture
    as it was uploaded, `picture` the re-encoded bytes to keep; None keeps none.
    """

    posting_id: str
    title: str | None
    metadata: Mapping[str, JsonValue]
    vectors: Mapping[str, UnitVector] = field(compare=False)
    image_digest: str | None = None
    picture: bytes | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of a posting; None leaves a part as it is. A title comes with the vector of each view that it gives."""

    posting_id: str
    title: str | None = None
    title_vectors: Mapping[str, UnitVector] = field(default_factory=dict, compare=False)
    metadata: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """A stored posting. `revision` rises with each change and is never used twice within an index."""

    posting_id: str
    title: str | None
    metadata: Mapping[str, JsonValue]
    vectors: Mapping[str, NDArray[np.float16]] = field(compare=False)
    image_digest: str | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the posting has, in order of name."""
        return tuple(self.vectors)


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result; scores are cosines, -1..1, higher is closer, rounded to 1e-6."""

    posting: Posting
    scores: Mapping[str, float]
    score: float


@dataclass(frozen=True, slots=True)
class Written:
    """What a put or a patch did."""

    revision: int
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Precondition:
    """
    What must hold for a write to happen, looked at inside the write's own transaction.

    `revisions` is an If-Match list, `must_exist` is `If-Match: *`, `must_not_exist` is `If-None-Match: *`.
    """

    revisions: frozenset[int] | None = None
    must_exist: bool = False
    must_not_exist: bool = False

    def require(self, revision: int | None) -> None:
        """Raises RevisionMismatch where it does not hold for a posting of this revision; None is no posting."""
        if self.must_not_exist and revision is not None:
            raise RevisionMismatch(f"expected no posting of this id, got one of revision {revision}; choose another id")
        if (self.must_exist or self.revisions is not None) and revision is None:
            raise RevisionMismatch("expected a posting of this id, got none; put it without a condition")
        if self.revisions is not None and revision not in self.revisions:
            raise RevisionMismatch(f"expected a revision of the condition's, got {revision}; get it and decide anew")


ANY = Precondition()
