"""The ablation of EVALUATION.md section 2: what each part is worth, each row at a threshold learned on validation."""

import logging
from collections.abc import Iterator, Mapping
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
Rows = NDArray[np.int64]


def ablate(evidence: Evidence, cache: Path) -> Iterator[Row]:
    """The rows that can be had: without the backbones' weights the frozen ones are left out, with a warning."""
    groups, test = evidence.material.catalogue.groups, evidence.queries
    truth = np.bincount(groups)[groups[test]] - 1
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
    image, title, lexical = View.IMAGE, View.TITLE, View.LEXICAL
    for name, views in (
        ("picture, trained", {image}),
        ("title, trained", {title}),
        ("lexical", {lexical}),
        ("title + lexical", {title, lexical}),
        ("picture + title", {image, title}),
        ("picture + title + lexical", {image, title, lexical}),
    ):
        if not views <= evidence.vectors.by_view.keys():
            continue  # a bundle may do without the lexical view
        rows = evidence.vectors.having(frozenset(views))
        if rows.size:
            yield _row(evidence, name, rows, evidence.vectors.fuse(rows, evidence.weights(frozenset(views))))
    rows = evidence.vectors.having(frozenset(evidence.vectors.by_view))
    everything = evidence.vectors.fuse(rows, evidence.weights(frozenset(evidence.vectors.by_view)))
    yield _row(evidence, "all, contradicting titles rejected", rows, everything, rejecting=True)


def _row(evidence: Evidence, name: str, rows: Rows, vectors: NDArray[np.float32], *, rejecting: bool = False) -> Row:
    """Learn the balanced threshold on validation against train and validation, carry it to test against everything."""
    catalogue, split = evidence.material.catalogue, evidence.material.split
    titles = [catalogue.titles[row] for row in rows] if rejecting else None

    def ranked(queries: Rows, gallery: Rows) -> Ranking:
        stands = np.isin(rows, gallery)
        chosen = None if titles is None else [title for title, there in zip(titles, stands, strict=True) if there]
        asked = np.flatnonzero(np.isin(rows[stands], queries))
        ranking = rank(vectors[stands], catalogue.groups[rows][stands], asked, titles=chosen)
        return ranking.agreeing().first() if rejecting else ranking.first()

    everything = np.arange(len(catalogue))
    learned = ranked(split.validation, np.r_[split.train, split.validation]) if evidence.is_own else None
    asked = ranked(evidence.queries, everything)
    test = sweep(asked, THRESHOLDS)
    counts = test if learned is None else sweep(learned, THRESHOLDS)
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
