"""What the index must answer, by plain dictionaries and float64 loops."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.postings import JsonValue, Scalar

DIMENSIONS = {"image": 6, "title": 4}
WEIGHTS = {"image": 0.6, "title": 0.4}
Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Known:
    """What a posting holds."""

    title: str | None
    metadata: Mapping[str, JsonValue]
    vectors: Vectors
    image_digest: str | None = None
    picture: bytes | None = None


Expected = list[tuple[str, float, dict[str, float]]]


def unit(rng: np.random.Generator, dimension: int) -> NDArray[np.float32]:
    """A random unit vector."""
    vector = rng.standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def random_vectors(rng: np.random.Generator, views: Collection[str], dimensions: Mapping[str, int]) -> Vectors:
    """A random unit vector per view."""
    return {view: unit(rng, dimensions[view]) for view in views}


def brute_force(
    postings: Mapping[str, Known],
    query: Vectors,
    weights: Mapping[str, float],
    *,
    k: int,
    floors: Callable[[frozenset[str]], float],
    where: Mapping[str, Scalar] | None = None,
    exclude: Collection[str] = (),
) -> Expected:
    """(posting id, fused score, score per view) of every hit, in order."""
    groups: dict[tuple[str, ...], Expected] = {}
    for posting_id, posting in postings.items():
        shared = tuple(sorted(set(query) & set(posting.vectors)))
        if shared and posting_id not in exclude and carries(posting.metadata, where or {}):
            scores = {view: half_cosine(query[view], posting.vectors[view]) for view in shared}
            fused = sum(weights[view] * scores[view] for view in shared) / sum(weights[view] for view in shared)
            groups.setdefault(shared, []).append((posting_id, round(fused, 6), scores))
    answer: Expected = []
    for shared, hits in sorted(groups.items()):
        hits.sort(key=lambda hit: (-hit[1], hit[0].encode()))
        for hit in hits[:k]:
            answer.append(hit)
            if hit[1] < floors(frozenset(shared)):
                break
    return answer


def half_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The cosine of two vectors after rounding both to float16, rounded to 1e-6."""
    x, y = (vector.astype(np.float16).astype(np.float64) for vector in (a, b))
    return round(float(np.dot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))), 6)


def carries(metadata: Mapping[str, JsonValue], where: Mapping[str, Scalar]) -> bool:
    """Whether metadata hold all these values; true is not 1, 1 is 1.0, and lists and objects equal nothing."""
    return all(
        key in metadata
        and not isinstance(metadata[key], list | dict)
        and isinstance(metadata[key], bool) == isinstance(value, bool)
        and metadata[key] == value
        for key, value in where.items()
    )


def patched(
    posting: Known,
    title: str | None,
    title_vector: NDArray[np.float32] | None,
    metadata: Mapping[str, JsonValue] | None,
) -> Known:
    """The posting after a patch."""
    if metadata is not None:
        posting = replace(posting, metadata=metadata)
    if title is not None and title_vector is not None and title != posting.title:
        posting = replace(posting, title=title, vectors={**posting.vectors, "title": title_vector})
    return posting
