"""Learn the lists of an IVF set from a sample of its postings, and measure how many of them a search has to look at."""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from index.fusion import Fusion
from index.ivf import Probe, Probes, chunks, nearest_centroids
from index.tuning import Tuning

_SEED = 0
_FLOORS = (-1.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_NEIGHBOURS = 20  # of each question
_FEWEST = 4_000  # neighbours that a number of lists is measured on: where fewer are near enough, the next nearest too
_AT_ONCE = 64  # questions
_MOST_SHARED = 15  # sets of shared views that are measured


def list_count(postings: int, tuning: Tuning) -> int:
    """How many lists a set of so many postings gets."""
    return max(1, int(tuning.lists_per_root * math.sqrt(postings)))


def sample_size(postings: int, tuning: Tuning) -> int:
    """Of how many postings a set of so many learns."""
    return min(postings, tuning.points_per_list * list_count(postings, tuning))


def learn_centroids(sample: NDArray[np.float32], lists: int, rounds: int) -> NDArray[np.float32]:
    """
    Spherical k-means: each centroid is the mean of the rows nearest to it, brought to length one.

    Args:
        sample: (m, dim) fused rows in no order, at least `lists`.
    """
    centroids = _units(sample[:lists])
    draws = np.random.default_rng(_SEED)
    for _ in range(rounds):
        nearest = nearest_centroids(sample, centroids)
        order = np.argsort(nearest, kind="stable")
        ends = np.searchsorted(nearest[order], np.arange(1, lists + 1))
        for number, members in enumerate(np.split(order, ends[:-1])):
            # A centroid that lost all its rows begins anew at any row.
            rows = sample[members] if len(members) else sample[draws.integers(len(sample), size=1)]
            centroids[number] = rows.mean(axis=0)
        centroids = _units(centroids)
    return centroids


def measure_probes(
    sample: NDArray[np.float32], centroids: NDArray[np.float32], fusion: Fusion, tuning: Tuning
) -> Probes:
    """
    How many lists hold enough of a question's near ones, per set of shared views and floor.

    Rows of the sample are the questions. Of each one's nearest in the sample it is known in which list they are, and
    the how manieth this is in the question's own order of lists; of these ranks the `tuning.found` quantile counts,
    rounded up to a power of the root of two. A floor looks only at neighbours from itself on, since a search for
    postings that are near needs few lists, whatever else is stored.

    Args:
        sample: (m, dim) fused rows in no order.
    """
    views = fusion.views
    subsets = [shared for size in range(1, len(views) + 1) for shared in combinations(views, size)]
    if tuning.found >= 1 or len(subsets) > _MOST_SHARED:
        return {}
    homes = nearest_centroids(sample, centroids)
    probes = {}
    for shared in subsets:
        asked = fusion.queries(sample[-tuning.questions :], shared)  # the first ones were where centroids began
        found = np.concatenate(list(_neighbours(asked, sample, homes, centroids)), axis=1)
        scores, ranks = found[:, np.argsort(-found[0])]
        probes["+".join(shared)] = [_probe(floor, scores, ranks, len(centroids), tuning) for floor in _FLOORS]
    return probes


def _neighbours(
    asked: NDArray[np.float32],
    sample: NDArray[np.float32],
    homes: NDArray[np.int64],
    centroids: NDArray[np.float32],
) -> Iterator[NDArray[np.float32]]:
    """(2, n): scores of near ones, and the ranks of their lists, from 0. The questions are the last of the sample."""
    most = min(_NEIGHBOURS, len(sample) - 1)
    first = len(sample) - len(asked)
    for chunk in chunks(len(asked), _AT_ONCE):
        scores = asked[chunk] @ sample.T
        own_places = np.arange(first + chunk.start, first + chunk.stop)
        scores[np.arange(len(scores)), own_places] = -np.inf  # nobody is his own neighbour
        nearest = np.argpartition(-scores, most - 1, axis=1)[:, :most] if most else np.empty((len(scores), 0), int)
        of_lists = asked[chunk] @ centroids.T
        own = np.take_along_axis(of_lists, homes[nearest], axis=1)
        ranks = (of_lists[:, None, :] > own[:, :, None]).sum(axis=2)
        yield np.stack([np.take_along_axis(scores, nearest, axis=1).ravel(), ranks.ravel().astype(np.float32)])


def _probe(floor: float, scores: NDArray[np.float32], ranks: NDArray[np.float32], lists: int, tuning: Tuning) -> Probe:
    counted = ranks[: max(int((scores >= floor).sum()), _FEWEST)]
    needed = 1 + (np.quantile(counted, tuning.found, method="higher") if len(counted) else lists)
    rounded = math.ceil(2 ** (math.ceil(2 * math.log2(needed)) / 2))
    return Probe(floor, min(rounded, lists))


def _units(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    units: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units
