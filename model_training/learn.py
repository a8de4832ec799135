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
from model_training.train_learner import train_learner


def learn_pictures(
    material: Material, backbone: PictureBackbone, recipe: Recipe, cache: Path, checkpoints: Path
) -> PictureNetwork:
    """Train the picture view on the training part."""
    freeze(backbone.network)
    features = compute_picture_features(backbone, material.pixels, cache)
    rows, train = _with_view(material.pixels.rows_of(material.catalogue), material)
    learner = _train_learner(features[rows], train, material, recipe, checkpoints, "picture learner")
    if recipe.finetune_epochs:
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
    rows, train = _with_view(titles.rows_of(material.catalogue), material)
    return TitleNetwork(
        backbone, _train_learner(titles.features[rows], train, material, recipe, checkpoints, "title learner")
    )


def _with_view(rows: NDArray[np.int64], material: Material) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The feature rows and the posting rows of the training postings that have the view."""
    train = material.split.train[rows[material.split.train] >= 0]
    return rows[train], train


def _train_learner(
    features: NDArray[np.float32],
    train: NDArray[np.int64],
    material: Material,
    recipe: Recipe,
    checkpoints: Path,
    label: str,
) -> EmbeddingLearner:
    checkpoint = checkpoints / f"{label.replace(' ', '_')}.pt"
    groups, components = material.catalogue.groups[train], material.components[train]
    return train_learner(features, groups, components, recipe, checkpoint, label=label)
