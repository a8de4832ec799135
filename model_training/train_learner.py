"""Train one view's embedding learner on cached features (Network B)."""

import json
import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from model_training.checkpoint import load_checkpoint, save_checkpoint
from model_training.learner import EmbeddingLearner
from model_training.losses import ArcFace, cosine_embedding_loss, supervised_contrast, triplet_loss
from model_training.pairs import Pairs, sample_batches, sample_pairs
from model_training.recipe import Loss, Recipe

logger = logging.getLogger(__name__)

_CURVE = ".curve.json"
_LOSSES = {Loss.TRIPLET: triplet_loss, Loss.SUPCON: supervised_contrast}
_LEAST_STEPS = 60  # of an epoch: a small catalogue is gone through several times
_DECAY = 0.05
_CENTRES_FASTER = 10  # a centre learns from few postings, the matrix from all
_TOGETHER = 4  # so many of a product meet in a batch where the loss compares postings with each other


@dataclass(frozen=True, slots=True)
class Labelled:
    """Postings of one part: `features` (n, sum of `widths`) float32; `groups`, `components` (n,) int64."""

    features: NDArray[np.float32]
    widths: tuple[int, ...]
    groups: NDArray[np.int64]
    components: NDArray[np.int64]

    def sample_pairs(self, num_neg: int, rng: np.random.Generator) -> Pairs:
        """An epoch of pairs."""
        return sample_pairs(self.groups, self.components, num_neg=num_neg, rng=rng)


def train_learner(
    train: Labelled, validation: Labelled, recipe: Recipe, checkpoint: Path, *, label: str
) -> EmbeddingLearner:
    """
    Learn to embed one view; goes on from its checkpoint where there is one.

    Args:
        train: what is learned from; validation: what is watched, and no more.
        checkpoint: file written after each epoch; the losses lie beside it, see `read_curves`.
        label: said beside the progress bar.
    """
    training = Training(train, recipe)
    watched = [(part, part.sample_pairs(1, np.random.default_rng(recipe.seed))) for part in (train, validation)]
    done = load_checkpoint(checkpoint, *training.parts)
    path = checkpoint.with_suffix(_CURVE)
    curve = json.loads(path.read_text(encoding="utf-8"))[:done] if done else []
    for epoch in tqdm(range(done, recipe.epochs), desc=label, initial=done, total=recipe.epochs, disable=None):
        training.run_epoch(epoch)
        curve.append([_watch(training.learner, part, pairs) for part, pairs in watched])
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")  # as a checkpoint is written: whole or not at all
        fresh.write_text(json.dumps(curve), encoding="utf-8")
        os.replace(fresh, path)
        save_checkpoint(checkpoint, epoch + 1, *training.parts)
        logger.info("%s: epoch %d, loss of pairs %.4f, on validation %.4f", label, epoch + 1, *curve[-1])
    return training.learner.eval()


def read_curves(checkpoints: Path) -> dict[str, dict[str, float]]:
    """The losses by epoch of every learner whose checkpoint lies in a directory, for the bundle's metrics."""
    curves = {}
    for path in sorted(checkpoints.glob(f"*{_CURVE}")):
        name = path.name.removesuffix(_CURVE).replace("_", " ")
        train, validation = zip(*json.loads(path.read_text(encoding="utf-8")), strict=True)
        for part, losses in (("train", train), ("validation", validation)):
            curves[f"{name}, {part} loss by epoch"] = {str(epoch): loss for epoch, loss in enumerate(losses, start=1)}
    return curves


class Training:
    """A learner under way; `parts` are what a checkpoint holds."""

    def __init__(self, part: Labelled, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self._part, self._recipe = part, recipe
        self._rows, self._components = torch.from_numpy(part.features), torch.from_numpy(part.components)
        self._groups = torch.from_numpy(np.unique(part.groups, return_inverse=True)[1])
        self.learner = EmbeddingLearner(part.widths, min(recipe.dimension, sum(part.widths)))
        self.learner.start_from(self._rows)
        self._arcface: nn.Module = nn.Identity()
        if recipe.loss is Loss.ARCFACE:
            with torch.no_grad():
                self._arcface = ArcFace(self.learner(self._rows), self._groups, self._components)
        rate, self._steps = recipe.learning_rate, max(_LEAST_STEPS, math.ceil(len(self._rows) / recipe.batch_size))
        peaks = {self.learner: rate, self._arcface: rate * _CENTRES_FASTER}
        learned = [(list(part.parameters()), peak) for part, peak in peaks.items()]
        self._optimizer = torch.optim.AdamW([{"params": own} for own, _ in learned if own], weight_decay=_DECAY)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=[peak for own, peak in learned if own],
            total_steps=max(1, recipe.epochs * self._steps),
            pct_start=0.1,
        )
        self.parts = (self.learner, self._arcface, self._optimizer, self._schedule)

    def run_epoch(self, epoch: int) -> None:
        """What it sees depends on seed and epoch alone, so that a resumed run goes on as an unbroken one would."""
        rng = np.random.default_rng([self._recipe.seed, epoch])
        descend(self._on_schedule(islice(self._losses(rng), self._steps)), self._optimizer)

    def _on_schedule(self, losses: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        for loss in losses:
            yield loss
            self._schedule.step()  # whoever asks for the next one has made his step

    def _losses(self, rng: np.random.Generator) -> Iterator[torch.Tensor]:
        """One batch's after another, pass after pass without end; none where there is nothing to learn from."""
        learns = True
        while learns:
            learns = False
            for loss in self._pass(rng):
                learns = True
                yield loss

    def _pass(self, rng: np.random.Generator) -> Iterator[torch.Tensor]:
        recipe = self._recipe
        if recipe.loss is Loss.COSINE:
            for pairs in self._part.sample_pairs(recipe.num_neg, rng).batches(recipe.batch_size):
                left, right = self.learner(self._rows[pairs.left]), self.learner(self._rows[pairs.right])
                yield cosine_embedding_loss(left, right, torch.from_numpy(pairs.same), margin=recipe.margin)
            return
        together = 1 if recipe.loss is Loss.ARCFACE else _TOGETHER
        for rows in sample_batches(self._part.groups, together=together, size=recipe.batch_size, rng=rng):
            vectors = self.learner(self._rows[rows])
            yield _LOSSES.get(recipe.loss, self._arcface)(vectors, self._groups[rows], self._components[rows])


def descend(losses: Iterable[torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """One step for each loss, before the next one is asked for."""
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()


@torch.inference_mode()
def _watch(learner: EmbeddingLearner, part: Labelled, pairs: Pairs) -> float:
    """The cosine embedding loss of pairs that stay the same, whatever is learned by: it can be told of any posting."""
    vectors = learner(torch.from_numpy(part.features))
    same = torch.from_numpy(pairs.same)
    return round(float(cosine_embedding_loss(vectors[pairs.left], vectors[pairs.right], same, margin=0)), 6)
