"""Where it is wrong: the worst false matches and misses, as pairs of postings."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from model_training.ranking import Ranking
from model_training.report.evidence import Evidence
from service.bundle.picture import decode_picture, stored_picture
from service.bundle.views import Goal

_SHOWN = 12
_SIDE = 128


@dataclass(frozen=True, slots=True)
class Pair:
    """Two postings by row, their fused score and their cosines by view."""

    left: int
    right: int
    score: float
    by_view: tuple[tuple[str, float], ...]


def false_matches(evidence: Evidence) -> list[Pair]:
    """Strangers above the `balanced` threshold, the highest score first."""
    ranking = list(evidence.rankings.values())[-1].agreeing().first()
    return _chosen(evidence, ranking, ~ranking.right & (ranking.scores >= _threshold(evidence)), falling=True)


def misses(evidence: Evidence) -> list[Pair]:
    """Postings of one product below the threshold, the lowest score first, among the nearest two hundred."""
    ranking = list(evidence.rankings.values())[-1]
    missed = ranking.right & (ranking.scores < _threshold(evidence)) & np.isfinite(ranking.scores)
    return _chosen(evidence, ranking, missed, falling=False)


def _threshold(evidence: Evidence) -> float:
    return evidence.threshold(list(evidence.rankings)[-1], Goal.BALANCED)


def _chosen(evidence: Evidence, ranking: Ranking, which: NDArray[np.bool_], *, falling: bool) -> list[Pair]:
    """Each pair once, and each posting in one pair only: one bad picture would fill the gallery."""
    asked = evidence.asked(list(evidence.rankings)[-1])
    order = sorted(np.argwhere(which).tolist(), key=lambda at: float(ranking.scores[*at]), reverse=falling)
    pairs, used = list[Pair](), set[int]()
    for query, place in order:
        left, right = int(asked[query]), int(ranking.rows[query, place])
        if len(pairs) < _SHOWN and not {left, right} & used:
            used |= {left, right}
            by_view = evidence.vectors.by_view.items()
            cosines = tuple((str(view), float(vectors[left] @ vectors[right])) for view, vectors in by_view)
            pairs.append(Pair(left, right, float(ranking.scores[query, place]), cosines))
    return pairs


def gallery(evidence: Evidence, pairs: Iterable[Pair]) -> str:
    """The pairs as HTML: pictures, titles, scores."""
    cards = [
        f'<figure class="pair">{_side(evidence, pair.left)}{_side(evidence, pair.right)}<figcaption>score '
        f"{pair.score:.3f} ({', '.join(f'{view} {score:.3f}' for view, score in pair.by_view)})</figcaption></figure>"
        for pair in pairs
    ]
    return "".join(cards) or "<p>None.</p>"


def _side(evidence: Evidence, row: int) -> str:
    catalogue = evidence.material.catalogue
    path, title = catalogue.pictures[row], catalogue.titles[row]
    image = ""
    if path is not None and catalogue.digests[row] in evidence.material.pixels.rows:
        small = stored_picture(decode_picture(path.read_bytes(), _SIDE), _SIDE)
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(small).decode()}">'
    return f"<div>{image}<p>{escape(title or 'no title')}</p><code>{escape(catalogue.posting_ids[row])}</code></div>"
