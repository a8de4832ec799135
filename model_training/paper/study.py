"""What every cell of the grid works on: frozen features of both views, and the paper's split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.backbones import freeze, load_picture_backbone, load_title_backbone
from model_training.features import compute_picture_features, compute_title_features
from model_training.material import prepare_material
from model_training.recipe import Recipe
from model_training.seen import refuse_seen
from service.bundle.views import View

_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Study:
    """
    The postings that have both views.

    `features` per view (n, d) float32 as the frozen backbone gives them, not normalised; `groups` (n,) int64; `train`
    and `validation` row numbers, 80 to 20 by group, as in the paper (which lets a picture stand on both sides: the
    protocol of EVALUATION.md does not). `provenance` says what the features come from.
    """

    features: Mapping[View, torch.Tensor]
    groups: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    provenance: Mapping[str, str]


def open_study(csv: Path, images: Path, recipe: Recipe, cache: Path) -> Study:
    """Read a catalogue and run the frozen backbones over it; raises TrainingError and FeedError."""
    picture = load_picture_backbone(recipe.picture_backbone, recipe.picture_weights)
    title = load_title_backbone(recipe.title_backbone)
    freeze(picture.network)
    freeze(title.network)
    material = prepare_material(
        csv, images, recipe.picture_spec(picture.normalisation.mean, picture.normalisation.std), cache, seed=recipe.seed
    )
    catalogue = material.catalogue
    titles = compute_title_features(title, catalogue, recipe.max_tokens, cache)
    rows = {View.IMAGE: material.pixels.rows_of(catalogue), View.TITLE: titles.rows_of(catalogue)}
    both = np.flatnonzero((rows[View.IMAGE] >= 0) & (rows[View.TITLE] >= 0))
    pictures = compute_picture_features(picture, material.pixels, cache)  # the paper knows the last stage alone
    computed = {View.IMAGE: pictures[:, -picture.network.widths[-1] :], View.TITLE: titles.features}
    groups = catalogue.groups[both]
    train, validation = split_groups(groups, seed=recipe.seed)
    refuse_seen(picture.seen, catalogue, both[validation], f"the backbone {Path(recipe.picture_weights).name}")
    return Study(
        features={view: torch.from_numpy(computed[view][rows[view][both]]) for view in computed},
        groups=groups,
        train=train,
        validation=validation,
        provenance={
            "data": f"sha256:{catalogue.fingerprint()}",
            "postings": f"{len(train)} train, {len(validation)} validation, with picture and title",
            "picture backbone": f"{picture.architecture} from {picture.source}",
            "title backbone": title.source,
            "seed": str(recipe.seed),
        },
    )


def split_groups(groups: NDArray[np.int64], *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Deal a fifth of the groups to validation.

    >>> train, validation = split_groups(np.arange(10).repeat(2), seed=1)
    >>> len(train), len(validation)
    (16, 4)
    """
    numbers = np.random.default_rng(seed).permutation(np.unique(groups))
    held_out = np.isin(groups, numbers[: round(len(numbers) * _VALIDATION_SHARE)])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
