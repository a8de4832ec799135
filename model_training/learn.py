"""Train both views, separately: learners on frozen features, then, if asked, the whole networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.backbones import PictureBackbone, TitleBackbone, freeze
from model_training.features import (
    TitleFeatures,
    compute_copy_features,
    compute_picture_features,
    compute_title_features,
    open_tokenizer,
)
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
    own, watched = _parts(features, backbone.network.widths, places, material)
    train = _having(places, material.split.train)
    seen, index = np.unique(places[train], return_inverse=True)
    copies = compute_copy_features(backbone, material.pixels, seen, cache)
    shown = replace(
        own,
        features=np.concatenate([own.features, copies[index]]),
        groups=np.tile(own.groups, 2),
        components=np.tile(own.components, 2),
    )
    learner = train_learner(shown, watched, recipe, checkpoints / "picture_learner.pt", label="picture learner")
    if recipe.finetune_epochs:
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
    parts = _parts(titles.features, (backbone.features,), places, material)
    learner = train_learner(*parts, recipe, checkpoints / "title_learner.pt", label="title learner")
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


def _parts(
    features: NDArray[np.float32], widths: tuple[int, ...], places: NDArray[np.int64], material: Material
) -> tuple[Labelled, Labelled]:
    """What is learned from and what is watched; `places` (n,) is the feature row of each posting, -1 where none is."""
    catalogue, split = material.catalogue, material.split
    having = [_having(places, part) for part in (split.train, split.validation)]
    train, validation = (
        Labelled(features[places[rows]], widths, catalogue.groups[rows], material.components[rows]) for rows in having
    )
    return train, validation


def _having(places: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[places[rows] >= 0]
