"""The ablation of EVALUATION.md section 2: what each part is worth, each row at a threshold learned on validation."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from model_training.backbones import freeze, load_picture_backbone, load_title_backbone
from model_training.decide import THRESHOLDS
from model_training.errors import UnusableBackbone
from model_training.evaluate import Row
from model_training.features import compute_picture_features, compute_title_features
from model_training.metrics import f1_mean, f1_mean_alone, f1s_at, query_only, recall_at_1
from model_training.phash import hash_picture
from model_training.ranking import Ranking, rank, sweep
from model_training.recipe import Recipe
from model_training.report.evidence import Evidence
from service.bundle.views import View

logger = logging.getLogger(__name__)

_NGRAMS = 4096  # the most frequent ones: every posting gets a row of so many numbers
_NAMES = {View.IMAGE: "picture", View.TITLE: "title", View.LEXICAL: "lexical"}
_SHOWN = (
    *((View.IMAGE,), (View.TITLE,), (View.LEXICAL,), (View.TITLE, View.LEXICAL), (View.IMAGE, View.TITLE)),
    (View.IMAGE, View.TITLE, View.LEXICAL),
)
Rows = NDArray[np.int64]


def ablate(evidence: Evidence, cache: Path) -> Iterator[Row]:
    """The rows that can be had: without the backbones' weights the frozen ones are left out, with a warning."""
    catalogue, test = evidence.material.catalogue, evidence.queries
    truth = np.bincount(catalogue.groups)[catalogue.groups[test]] - 1
    yield Row("query only", len(test), np.nan, query_only(truth), np.nan, np.nan)
    yield _row(evidence, "perceptual hash", *_hashes(evidence))
    yield _row(evidence, "TF-IDF of characters, 3 to 5", *_tf_idf(evidence))
    try:
        frozen = list(_frozen(evidence, evidence.recipe, cache))
    except UnusableBackbone as exc:
        logger.warning("the frozen backbones are left out of the ablation: %s", exc)
        frozen = []
    for name, rows, vectors in frozen:
        yield _row(evidence, name, rows, vectors)
    precision = {view: spec.precision for view, spec in evidence.bundle.manifest.encoders.items()}
    fused = dict[frozenset[View], tuple[Rows, NDArray[np.float32]]]()
    for chosen in _SHOWN:
        views = frozenset(chosen)
        if views <= evidence.vectors.by_view.keys() and (rows := evidence.vectors.having(views)).size:
            fused[views] = rows, evidence.vectors.fuse(rows, evidence.weights(views))
            name = " + ".join(_NAMES[view] for view in chosen)
            said = f"{name}, trained ({precision[chosen[0]]})" if len(chosen) == 1 else name
            yield _row(evidence, said if chosen != (View.LEXICAL,) else name, *fused[views])
    everything = fused[frozenset(evidence.vectors.by_view)]
    yield _row(evidence, "all, contradicting titles rejected", *everything, titles=catalogue.titles)
    own = zip(catalogue.digests, catalogue.posting_ids, strict=True)
    files = np.unique([digest or posting_id for digest, posting_id in own], return_inverse=True)[1]
    for name, views in (("picture", frozenset({View.IMAGE})), ("all", frozenset(evidence.vectors.by_view))):
        yield _row(evidence, f"{name}, postings that share the picture file left out", *fused[views], left_out=files)


def _row(
    evidence: Evidence,
    name: str,
    rows: Rows,
    vectors: NDArray[np.float32],
    titles: Sequence[str | None] | None = None,
    left_out: Rows | None = None,
) -> Row:
    """Learn the balanced threshold on validation against train and validation, carry it to test against everything."""
    groups, split = evidence.material.catalogue.groups, evidence.material.split

    def ranked(queries: Rows, gallery: Rows) -> Ranking:
        stands = np.isin(rows, gallery)
        here = rows[stands]
        said = None if titles is None else [titles[row] for row in here]
        keys = None if left_out is None else left_out[here]
        asked = np.flatnonzero(np.isin(here, queries))
        return rank(vectors[stands], groups[here], asked, keys, said).agreeing().first()

    asked = ranked(evidence.queries, np.arange(len(groups)))
    test = sweep(asked, THRESHOLDS)
    counts = sweep(ranked(split.validation, split.fitted), THRESHOLDS) if evidence.is_own else test
    column = int(((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0).argmax())
    best = float(f1_mean(test).mean(0).max())
    return Row(name, len(test.truth), float(THRESHOLDS[column]), f1s_at(test, column), best, recall_at_1(asked))


def _hashes(evidence: Evidence) -> tuple[Rows, NDArray[np.float32]]:
    """Signs of the 64 bits as a unit vector: the cosine is 1 less a 32nd of the Hamming distance."""
    pixels = evidence.material.pixels
    places = pixels.rows_of(evidence.material.catalogue)
    hashes: Mapping[int, int] = {
        place: hash_picture(Image.fromarray(pixels.tensors[place])) for place in np.unique(places[places >= 0]).tolist()
    }
    rows = np.flatnonzero(places >= 0)
    bits = np.array([[hashes[place] >> bit & 1 for bit in range(64)] for place in places[rows].tolist()])
    return rows, ((bits * 2 - 1) / 8).astype(np.float32)


def _tf_idf(evidence: Evidence) -> tuple[Rows, NDArray[np.float32]]:
    titles = evidence.material.catalogue.titles
    rows = np.array([row for row, title in enumerate(titles) if title is not None], dtype=np.int64)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=_NGRAMS, dtype=np.float32)
    return rows, np.asarray(vectorizer.fit_transform([titles[row] for row in rows]).todense(), dtype=np.float32)


def _frozen(evidence: Evidence, recipe: Recipe, cache: Path) -> Iterator[tuple[str, Rows, NDArray[np.float32]]]:
    """The backbones as training found them, centred on the training part and scaled to unit length."""
    material = evidence.material
    picture = load_picture_backbone(recipe.picture_backbone, recipe.picture_weights)
    title = load_title_backbone(recipe.title_backbone)
    freeze(picture.network)
    freeze(title.network)
    places = material.pixels.rows_of(material.catalogue)
    yield (
        "picture, frozen",
        *_centred(compute_picture_features(picture, material.pixels, cache), places, material.split.train),
    )
    titles = compute_title_features(title, material.catalogue, recipe.max_tokens, cache)
    yield ("title, frozen", *_centred(titles.features, titles.rows_of(material.catalogue), material.split.train))


def _centred(features: NDArray[np.float32], places: Rows, train: Rows) -> tuple[Rows, NDArray[np.float32]]:
    rows = np.flatnonzero(places >= 0)
    known = places[train][places[train] >= 0]
    moved = features[places[rows]] - features[known].mean(0)
    return rows, (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
