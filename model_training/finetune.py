"""The last stretch: the picture network itself learns, by supervised contrast over augmented pictures."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.augment import augment
from model_training.backbones import PictureBackbone
from model_training.learner import EmbeddingLearner
from model_training.lookalikes import Lookalikes
from model_training.losses import supervised_contrast
from model_training.networks import normalise_pixels
from model_training.one_cycle import run_one_cycle
from model_training.recipe import Recipe

_SIDE = 160  # pixels; crops show products larger than whole pictures do, so serving at 288 sees them alike
_PEAK_RATE, _LEARNER_RATE = 2e-4, 2e-3


def finetune(
    backbone: PictureBackbone,
    learner: EmbeddingLearner,
    tensors: NDArray[np.uint8],
    lookalikes: Lookalikes,
    recipe: Recipe,
    checkpoint: Path,
) -> None:
    """
    Train backbone and learner together, in place; goes on from the checkpoint where there is one.

    The first stages, which see edges and colours anywhere, stay: they would take two thirds of a step's time. Batch
    normalisation keeps its statistics: a batch of 48 is too small and too odd (three of each product) to give
    new ones.

    Args:
        tensors: (m, height, width, 3) uint8, the rows that `lookalikes` draws; a product with too few pictures shows
            some again, which augmentation makes different.
    """
    backbone.network.watched().requires_grad_(True)
    learner.requires_grad_(True)
    backbone.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # halves the time of a step

    def loss_of(rng: np.random.Generator) -> torch.Tensor:
        batch = lookalikes.draw(rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        views = augment(torch.from_numpy(tensors[batch.rows]), min(_SIDE, recipe.image_size), generator)
        vectors = learner(backbone.network(normalise_pixels(views, backbone)))
        return supervised_contrast(vectors, batch.groups, batch.components)

    run_one_cycle(
        [(backbone.network, _PEAK_RATE), (learner, _LEARNER_RATE)],
        loss_of,
        steps=lookalikes.steps(recipe.finetune_epochs),
        seed=recipe.seed,
        checkpoint=checkpoint,
        label="fine-tuning",
    )
