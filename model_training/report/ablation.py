"""The ablation of EVALUATION.md section 2: what each part is worth, each row at a threshold learned on validation."""

import logging
from collections.abc import Iterator, Sequence
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
from model_training.report.evidence import Evidence
from service.bundle.views import View

logger = logging.getLogger(__name__)

_NGRAMS = 4096  # the most frequent ones: every posting gets a row of so many numbers
_PARTS = {
    "picture, trained": frozenset({View.IMAGE}),
    "title, trained": frozenset({View.TITLE}),
    "lexical": frozenset({View.LEXICAL}),
    "title + lexical": frozenset({View.TITLE, View.LEXICAL}),
    "picture + title": frozenset({View.IMAGE, View.TITLE}),
    "picture + title + lexical": frozenset({View.IMAGE, View.TITLE, View.LEXICAL}),
}
Rows = NDArray[np.int64]


def ablate(evidence: Evidence, cache: Path) -> Iterator[Row]:
    """The rows that can be had: without the backbones' weights the frozen ones are left out, with a warning."""
    catalogue, by_view = evidence.material.catalogue, evidence.vectors.by_view
    truth = np.bincount(catalogue.groups)[catalogue.groups[evidence.queries]] - 1
    yield Row("query only", len(truth), np.nan, query_only(truth), np.nan, np.nan)
    yield _row(evidence, "perceptual hash", *_hashes(evidence))
    yield _row(evidence, "TF-IDF of characters, 3 to 5", *_tf_idf(catalogue.titles))
    try:
        frozen = list(_frozen(evidence, cache))
    except UnusableBackbone as exc:
        logger.warning("the frozen backbones are left out of the ablation: %s", exc)
        frozen = []
    for name, rows, vectors in frozen:
        yield _row(evidence, name, rows, vectors)
    fused = {}
    for name, chosen in _PARTS.items():
        if chosen <= by_view.keys() and (rows := evidence.vectors.having(chosen)).size:
            fused[chosen] = rows, evidence.vectors.fuse(rows, evidence.weights(chosen))
            precisions = {evidence.bundle.manifest.encoders[view].precision for view in chosen}
            yield _row(evidence, f"{name} ({precisions.pop()})" if "trained" in name else name, *fused[chosen])
    everything = frozenset(by_view)
    yield _row(evidence, "all, contradicting titles rejected", *fused[everything], titles=catalogue.titles)
    for name, chosen in (("picture", frozenset({View.IMAGE})), ("all", everything)):
        yield _row(
            evidence, f"{name}, postings that share the picture file left out", *fused[chosen], left_out=catalogue.files
        )


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
    rows = np.flatnonzero(places >= 0)
    distinct, number = np.unique(places[rows], return_inverse=True)
    hashes = np.array([hash_picture(Image.fromarray(pixels.tensors[place])) for place in distinct], dtype=np.uint64)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)[number]
    return rows, ((bits * 2.0 - 1) / 8).astype(np.float32)


def _tf_idf(titles: Sequence[str | None]) -> tuple[Rows, NDArray[np.float32]]:
    there = {row: title for row, title in enumerate(titles) if title is not None}
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=_NGRAMS, dtype=np.float32)
    return np.array(list(there)), np.asarray(vectorizer.fit_transform(there.values()).todense(), dtype=np.float32)


def _frozen(evidence: Evidence, cache: Path) -> Iterator[tuple[str, Rows, NDArray[np.float32]]]:
    """The backbones' last stages as training found them, centred on the training part, of unit length."""
    material, recipe = evidence.material, evidence.recipe
    picture = load_picture_backbone(recipe.picture_backbone, recipe.picture_weights)
    title = load_title_backbone(recipe.title_backbone)
    freeze(picture.network)
    freeze(title.network)
    pictures = compute_picture_features(picture, material.pixels, cache)[:, -picture.network.widths[-1] :]
    seen = pictures, material.pixels.rows_of(material.catalogue)
    titles = compute_title_features(title, material.catalogue, recipe.max_tokens, cache)
    read = titles.features, titles.rows_of(material.catalogue)
    for name, (features, places) in (("picture, frozen", seen), ("title, frozen", read)):
        rows, train = np.flatnonzero(places >= 0), places[material.split.train]
        moved = features[places[rows]] - features[train[train >= 0]].mean(0)
        yield name, rows, (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
