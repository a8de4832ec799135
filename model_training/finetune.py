"""The last stretch: every layer of the picture network learns, by supervised contrast over augmented pictures."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from model_training.augment import augment
from model_training.backbones import PictureBackbone
from model_training.checkpoint import load_checkpoint, save_checkpoint
from model_training.learner import EmbeddingLearner
from model_training.losses import supervised_contrast
from model_training.networks import normalise_pixels
from model_training.recipe import Recipe

logger = logging.getLogger(__name__)

_SEEDS, _COMPANIONS, _PICTURES = 4, 3, 3  # a batch: products, lookalikes of each, pictures of every one of them
_LOOKALIKES = 12  # companions are drawn from so many nearest products
_SIDE = 160  # pixels; crops show products larger than whole pictures do, so serving at 192 sees them alike
_TEMPERATURE = 0.1
_PEAK_RATE = 2e-4
_CHECKPOINT_STEPS = 50


def finetune(
    backbone: PictureBackbone,
    learner: EmbeddingLearner,
    tensors: NDArray[np.uint8],
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    components: NDArray[np.int64],
    start: NDArray[np.float32],
    recipe: Recipe,
    checkpoint: Path,
) -> None:
    """
    Train backbone and learner together, in place; goes on from the checkpoint where there is one.

    Batch normalisation keeps its statistics: a batch of 48 is too small and too odd (three of each product) to give
    new ones. AdamW, one cycle.

    Args:
        tensors: (m, height, width, 3) uint8; rows, groups, components: (n,) the tensor row, product and
            super-component of each training posting with a picture.
        start: (n, d) unit rows, what the learner makes of the frozen features: it tells which products look alike.
    """
    network = nn.ModuleList([backbone.network, learner])
    network.requires_grad_(True)
    backbone.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # halves the time of a step
    classes = _pictures_by_group(rows, groups)
    pictures = sum(len(set(own)) for own in classes)
    steps = recipe.finetune_epochs * max(1, round(pictures / (_SEEDS * (1 + _COMPANIONS) * _PICTURES)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_PEAK_RATE, total_steps=steps, pct_start=0.15)
    done = load_checkpoint(checkpoint, network, optimizer, schedule)
    component_of = dict(zip(groups.tolist(), components.tolist(), strict=True))
    numbers = list(dict.fromkeys(groups.tolist()))
    weight = np.sqrt([len(own) for own in classes])  # between "every product alike" and "every posting alike"
    lookalikes = _find_lookalikes(start, groups, numbers)
    mean_loss = 0.0
    bar = tqdm(range(done, steps), desc="fine-tuning", initial=done, total=steps, unit="step", disable=None)
    for step in bar:
        rng = np.random.default_rng([recipe.seed, step])
        seeds = rng.choice(len(classes), min(_SEEDS, len(classes)), replace=False, p=weight / weight.sum())
        chosen = np.unique(np.r_[seeds, [rng.choice(lookalikes[seed]) for seed in seeds for _ in range(_COMPANIONS)]])
        batch = np.concatenate([_draw(classes[index], rng) for index in chosen])
        labels = torch.tensor([numbers[index] for index in chosen for _ in range(_PICTURES)])
        ties = torch.tensor([component_of[number] for number in labels.tolist()])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        views = augment(torch.from_numpy(tensors[batch]), min(_SIDE, recipe.image_size), generator)
        vectors = learner(backbone.network(normalise_pixels(views, backbone)))
        loss = supervised_contrast(vectors, labels, ties, temperature=_TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        mean_loss += (loss.item() - mean_loss) / min(step + 1, 50)
        bar.set_postfix(loss=f"{mean_loss:.3f}", refresh=False)
        if (step + 1) % _CHECKPOINT_STEPS == 0 or step + 1 == steps:
            save_checkpoint(checkpoint, step + 1, network, optimizer, schedule)
            logger.info("fine-tuning: step %d of %d, loss %.3f", step + 1, steps, mean_loss)
    network.eval()


def _pictures_by_group(rows: NDArray[np.int64], groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The tensor rows of each product's postings, products in order of first appearance."""
    return [rows[groups == number] for number in dict.fromkeys(groups.tolist())]


def _find_lookalikes(start: NDArray[np.float32], groups: NDArray[np.int64], numbers: list[int]) -> NDArray[np.int64]:
    """(products, _LOOKALIKES) the nearest other products of each, by the mean of their vectors."""
    centres = np.stack([start[groups == number].mean(0) for number in numbers])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    likeness = centres @ centres.T
    np.fill_diagonal(likeness, -2)
    return np.argsort(-likeness, axis=1)[:, :_LOOKALIKES]


def _draw(own: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Different pictures where the product has them; else the same one, which augmentation makes different."""
    distinct = np.unique(own)
    return rng.choice(distinct, _PICTURES, replace=len(distinct) < _PICTURES)
