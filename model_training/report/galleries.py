"""Where it is wrong: the worst false matches and misses, as pairs of postings in HTML."""

import base64
from html import escape

import numpy as np
from numpy.typing import NDArray

from model_training.ranking import Ranking
from model_training.report.evidence import Evidence
from service.bundle.picture import decode_picture, stored_picture
from service.bundle.views import Goal

_SHOWN = 12
_SIDE = 128


def false_matches(evidence: Evidence) -> str:
    """Strangers above the `balanced` threshold, the highest score first."""
    key, ranking = list(evidence.rankings.items())[-1]
    ranking = ranking.agreeing().first()
    wrong = ~ranking.right & (ranking.scores >= evidence.threshold(key, Goal.BALANCED))
    return _gallery(evidence, ranking, wrong, -ranking.scores)


def misses(evidence: Evidence) -> str:
    """Postings of one product below the threshold, the lowest score first, among the nearest two hundred."""
    key, ranking = list(evidence.rankings.items())[-1]
    missed = ranking.right & (ranking.scores < evidence.threshold(key, Goal.BALANCED)) & np.isfinite(ranking.scores)
    return _gallery(evidence, ranking, missed, ranking.scores)


def _gallery(evidence: Evidence, ranking: Ranking, shown: NDArray[np.bool_], rising: NDArray[np.float32]) -> str:
    """Each pair once, and each posting in one pair only: one bad picture would fill the gallery."""
    asked = evidence.asked(list(evidence.rankings)[-1])
    cards, used = list[str](), set[int]()
    for query, place in sorted(np.argwhere(shown).tolist(), key=lambda at: float(rising[*at])):
        left, right = int(asked[query]), int(ranking.rows[query, place])
        if len(cards) < _SHOWN and not {left, right} & used:
            used |= {left, right}
            views = evidence.vectors.by_view.items()
            cosines = ", ".join(f"{view} {vectors[left] @ vectors[right]:.3f}" for view, vectors in views)
            cards.append(
                f'<figure class="pair">{_side(evidence, left)}{_side(evidence, right)}'
                f"<figcaption>score {ranking.scores[query, place]:.3f} ({cosines})</figcaption></figure>"
            )
    return f'<div class="pairs">{"".join(cards)}</div>' if cards else "<p>None.</p>"


def _side(evidence: Evidence, row: int) -> str:
    catalogue = evidence.material.catalogue
    path, title = catalogue.pictures[row], catalogue.titles[row]
    image = ""
    if path is not None and catalogue.digests[row] in evidence.material.pixels.rows:
        small = stored_picture(decode_picture(path.read_bytes(), _SIDE), _SIDE)
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(small).decode()}">'
    return f"<div>{image}<p>{escape(title or 'no title')}</p><code>{escape(catalogue.posting_ids[row])}</code></div>"
