"""Train both views, separately: learners on frozen features, then, if asked, the whole picture network."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.backbones import PictureBackbone, TitleBackbone, freeze
from model_training.features import compute_picture_features, compute_title_features
from model_training.finetune import finetune
from model_training.learner import EmbeddingLearner
from model_training.material import Material
from model_training.networks import PictureNetwork, TitleNetwork
from model_training.recipe import Recipe
from model_training.train_learner import Labelled, train_learner


def learn_pictures(
    material: Material, backbone: PictureBackbone, recipe: Recipe, cache: Path, checkpoints: Path
) -> PictureNetwork:
    """Train the picture view on the training part."""
    freeze(backbone.network)
    features = compute_picture_features(backbone, material.pixels, cache)
    places = material.pixels.rows_of(material.catalogue)
    learner = _train_learner(features, places, material, recipe, checkpoints, "picture learner")
    if recipe.finetune_epochs:
        train = _having(places, material.split.train)
        rows = places[train]
        groups, components = material.catalogue.groups[train], material.components[train]
        pixels, checkpoint = material.pixels.tensors, checkpoints / "finetune.pt"
        with torch.inference_mode():
            start = learner(torch.from_numpy(features[rows])).numpy()
        finetune(backbone, learner, pixels, rows, groups, components, start, recipe, checkpoint)
    return PictureNetwork(backbone, learner)


def learn_titles(
    material: Material, backbone: TitleBackbone, recipe: Recipe, cache: Path, checkpoints: Path
) -> TitleNetwork:
    """Train the title view on the training part."""
    freeze(backbone.network)
    titles = compute_title_features(backbone, material.catalogue, recipe.max_tokens, cache)
    places = titles.rows_of(material.catalogue)
    return TitleNetwork(
        backbone, _train_learner(titles.features, places, material, recipe, checkpoints, "title learner")
    )


def _train_learner(
    features: NDArray[np.float32],
    places: NDArray[np.int64],
    material: Material,
    recipe: Recipe,
    checkpoints: Path,
    label: str,
) -> EmbeddingLearner:
    """`places` (n,) is the feature row of each posting, -1 where it has none."""
    parts = [_having(places, part) for part in (material.split.train, material.split.validation)]
    train, validation = (
        Labelled(features[places[rows]], material.catalogue.groups[rows], material.components[rows]) for rows in parts
    )
    return train_learner(train, validation, recipe, checkpoints / f"{label.replace(' ', '_')}.pt", label=label)


def _having(places: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[places[rows] >= 0]
