"""Train both views, separately: learners on frozen features, then, if asked, the whole networks."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.backbones import PictureBackbone, TitleBackbone, freeze
from model_training.features import TitleFeatures, compute_picture_features, compute_title_features, open_tokenizer
from model_training.finetune import finetune
from model_training.finetune_titles import finetune_titles
from model_training.learner import EmbeddingLearner
from model_training.lookalikes import Lookalikes
from model_training.material import Material
from model_training.networks import PictureNetwork, TitleNetwork
from model_training.recipe import Recipe
from model_training.train_learner import Labelled, train_learner
from service.bundle.lexical import LexicalEncoder, learn_rarity


def learn_pictures(
    material: Material, backbone: PictureBackbone, recipe: Recipe, cache: Path, checkpoints: Path
) -> PictureNetwork:
    """Train the picture view on the training part."""
    freeze(backbone.network)
    features = compute_picture_features(backbone, material.pixels, cache)
    places = material.pixels.rows_of(material.catalogue)
    learner = _train_learner(
        features, backbone.network.widths, places, material, recipe, checkpoints, "picture learner"
    )
    if recipe.finetune_epochs:
        train = _having(places, material.split.train)
        rows = places[train]
        with torch.inference_mode():
            start = learner(torch.from_numpy(features[rows])).numpy()
        groups, components = material.catalogue.groups[train], material.components[train]
        lookalikes = Lookalikes(rows, groups, components, start, seeds=4, each=3)  # 48 pictures a batch
        finetune(backbone, learner, material.pixels.tensors, lookalikes, recipe, checkpoints / "finetune.pt")
    return PictureNetwork(backbone, learner)


def learn_titles(
    material: Material, backbone: TitleBackbone, recipe: Recipe, cache: Path, checkpoints: Path
) -> TitleNetwork:
    """Train the title view on the training part."""
    freeze(backbone.network)
    titles = compute_title_features(backbone, material.catalogue, recipe.max_tokens, cache)
    places = titles.rows_of(material.catalogue)
    learner = _train_learner(
        titles.features, (backbone.features,), places, material, recipe, checkpoints, "title learner"
    )
    network = TitleNetwork(backbone, learner)
    if recipe.title_finetune_epochs:
        tokenizer = open_tokenizer(backbone, recipe.max_tokens)
        tokens = [tokenizer.encode(title) for title in titles.rows]
        lookalikes = _alike_by_title(titles, learner, material)
        finetune_titles(network, tokens, lookalikes, recipe, checkpoints / "finetune_titles.pt")
    return network


def _alike_by_title(titles: TitleFeatures, learner: EmbeddingLearner, material: Material) -> Lookalikes:
    """Products of the training part, alike where learner and n-grams together say so."""
    places = titles.rows_of(material.catalogue)
    train = _having(places, material.split.train)
    texts = list(titles.rows)
    lexical = LexicalEncoder(learn_rarity(texts[place] for place in np.unique(places[train])))
    with torch.inference_mode():
        learned = learner(torch.from_numpy(titles.features[places[train]])).numpy()
    start = np.concatenate([learned, lexical.encode([texts[place] for place in places[train]])], axis=1)
    groups, components = material.catalogue.groups[train], material.components[train]
    return Lookalikes(places[train], groups, components, start, seeds=8, each=2)  # 64 titles a batch


def _train_learner(
    features: NDArray[np.float32],
    widths: tuple[int, ...],
    places: NDArray[np.int64],
    material: Material,
    recipe: Recipe,
    checkpoints: Path,
    label: str,
) -> EmbeddingLearner:
    """`places` (n,) is the feature row of each posting, -1 where it has none."""
    parts = [_having(places, part) for part in (material.split.train, material.split.validation)]
    train, validation = (
        Labelled(features[places[rows]], widths, material.catalogue.groups[rows], material.components[rows])
        for rows in parts
    )
    return train_learner(train, validation, recipe, checkpoints / f"{label.replace(' ', '_')}.pt", label=label)


def _having(places: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[places[rows] >= 0]
