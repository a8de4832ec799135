"""Learn the lists of an IVF set from a sample of its postings, and measure how many of them a search has to look at."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from index.fusion import Fusion
from index.ivf import Probe, Probes, chunks, nearest_centroids
from index.tuning import Tuning

_SEED = 0
_FLOORS = (-1.0, *(round(0.3 + 0.05 * step, 2) for step in range(14)))
_NEIGHBOURS = 20  # of each question
_MARGIN = 2  # times what was measured on them, because they are few
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
    the how manieth this is in the question's own order of lists; of these ranks the `tuning.found` quantile counts. A
    floor looks only at neighbours from itself on: those that a search must find are near, and so in few lists, while
    the twentieth nearest may be anywhere.

    Args:
        sample: (m, dim) fused rows in no order.
    """
    views = fusion.views
    subsets = [shared for size in range(1, len(views) + 1) for shared in combinations(views, size)]
    if tuning.found >= 1 or len(subsets) > _MOST_SHARED or len(sample) < 2:
        return {}
    homes = nearest_centroids(sample, centroids)
    found: dict[tuple[str, ...], list[NDArray[np.float32]]] = {shared: [] for shared in subsets}
    asked = min(tuning.questions, len(sample))
    for chunk in chunks(asked, _AT_ONCE):
        places = np.arange(chunk.start, chunk.stop) + len(sample) - asked  # the first ones were where centroids began
        # Once per view, and added up for each set of them.
        of_rows, of_lists = (_products(sample, places, others, fusion) for others in (sample, centroids))
        for scores in of_rows.values():
            scores[np.arange(len(places)), places] = -np.inf  # nobody is his own neighbour
        for shared, pairs in found.items():
            pairs.append(_ranked(_fused(of_rows, shared, fusion), _fused(of_lists, shared, fusion), homes))
    return {"+".join(shared): _probes(np.hstack(pairs), len(centroids), tuning) for shared, pairs in found.items()}


def _products(
    sample: NDArray[np.float32], places: NDArray[np.int64], others: NDArray[np.float32], fusion: Fusion
) -> dict[str, NDArray[np.float32]]:
    parts = ((view, fusion.part(view)) for view in fusion.views)
    return {view: sample[places, part] @ others[:, part].T for view, part in parts}


def _fused(products: Mapping[str, NDArray[np.float32]], shared: Sequence[str], fusion: Fusion) -> NDArray[np.float32]:
    first, *others = (products[view] for view in shared)
    fused = first.copy()
    for other in others:
        fused += other
    fused /= np.float32(fusion.total(shared))
    return fused


def _ranked(rows: NDArray[np.float32], lists: NDArray[np.float32], homes: NDArray[np.int64]) -> NDArray[np.float32]:
    """(2, n): scores of each question's nearest, and the ranks of their lists, from 0."""
    most = min(_NEIGHBOURS, rows.shape[1] - 1)
    nearest = np.argpartition(rows, -most, axis=1)[:, -most:]
    own = np.take_along_axis(lists, homes[nearest], axis=1)
    ranks = (lists[:, None, :] > own[:, :, None]).sum(axis=2)
    return np.stack([np.take_along_axis(rows, nearest, axis=1).ravel(), ranks.ravel().astype(np.float32)])


def _probes(pairs: NDArray[np.float32], lists: int, tuning: Tuning) -> list[Probe]:
    scores, ranks = pairs[:, np.argsort(-pairs[0])]
    probes = []
    for floor in _FLOORS:
        counted = ranks[: max(int((scores >= floor).sum()), tuning.near)]
        needed = _MARGIN * (1 + int(np.quantile(counted, tuning.found, method="higher")))
        probes.append(Probe(floor, min(needed, lists)))
    return probes


def _units(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    units: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units
