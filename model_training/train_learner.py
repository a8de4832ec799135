"""Train one view's embedding learner on cached features (Network B, cosine embedding loss)."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model_training.checkpoint import load_checkpoint, save_checkpoint
from model_training.learner import EmbeddingLearner
from model_training.losses import cosine_embedding_loss
from model_training.pairs import Pairs, sample_pairs
from model_training.recipe import Recipe

logger = logging.getLogger(__name__)

_CURVE = ".curve.json"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Postings of one part with one view: `features` (n, d) float32; `groups`, `components` (n,) int64."""

    features: NDArray[np.float32]
    groups: NDArray[np.int64]
    components: NDArray[np.int64]


def train_learner(
    train: Labelled, validation: Labelled, recipe: Recipe, checkpoint: Path, *, label: str
) -> EmbeddingLearner:
    """
    Learn to embed one view; goes on from its checkpoint where there is one.

    Args:
        train: what is learned from; validation: what the loss is watched on, and no more.
        checkpoint: file written after each epoch; the losses lie beside it, see `read_curves`.
        label: said beside the progress bar.
    """
    torch.manual_seed(recipe.seed)
    rows, watched = (torch.from_numpy(np.array(part.features, dtype=np.float32)) for part in (train, validation))
    learner = EmbeddingLearner(rows.shape[1], min(recipe.dimension, rows.shape[1]))
    learner.start_from(rows)
    optimizer = torch.optim.SGD(learner.parameters(), lr=recipe.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    done = load_checkpoint(checkpoint, learner, optimizer, schedule)
    curve = _read_curve(checkpoint)[:done]
    fixed = _sample(validation, recipe, epoch=0)
    for epoch in tqdm(range(done, recipe.epochs), desc=label, initial=done, total=recipe.epochs, disable=None):
        # Pairs depend on seed and epoch alone, so that a resumed run sees what an unbroken one would have seen.
        pairs, losses = _sample(train, recipe, epoch), []
        for start in range(0, len(pairs.left), recipe.batch_size):
            loss = _loss(learner, rows, pairs, slice(start, start + recipe.batch_size), recipe)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        with torch.inference_mode():
            seen = float(_loss(learner, watched, fixed, slice(None), recipe)) if len(fixed.left) else float("nan")
        curve.append((round(float(np.mean(losses)), 6), round(seen, 6)))
        _curve_of(checkpoint).parent.mkdir(parents=True, exist_ok=True)
        _curve_of(checkpoint).write_text(json.dumps(curve), encoding="utf-8")
        save_checkpoint(checkpoint, epoch + 1, learner, optimizer, schedule)
        logger.info(
            "%s: epoch %d, %d pairs, loss %.4f, on validation %.4f", label, epoch + 1, len(pairs.left), *curve[-1]
        )
    return learner.eval()


def read_curves(checkpoints: Path) -> dict[str, dict[str, float]]:
    """The losses by epoch of every learner whose checkpoint lies in a directory, for the bundle's metrics."""
    curves = {}
    for path in sorted(checkpoints.glob(f"*{_CURVE}")):
        name = path.name.removesuffix(_CURVE).replace("_", " ")
        train, validation = zip(*json.loads(path.read_text(encoding="utf-8")), strict=True)
        for part, losses in (("train", train), ("validation", validation)):
            curves[f"{name}, {part} loss by epoch"] = {str(epoch): loss for epoch, loss in enumerate(losses, start=1)}
    return curves


def _sample(part: Labelled, recipe: Recipe, epoch: int) -> Pairs:
    rng = np.random.default_rng([recipe.seed, epoch])
    return sample_pairs(part.groups, part.components, num_neg=recipe.num_neg, rng=rng)


def _loss(learner: EmbeddingLearner, rows: torch.Tensor, pairs: Pairs, batch: slice, recipe: Recipe) -> torch.Tensor:
    left, right = learner(rows[pairs.left[batch]]), learner(rows[pairs.right[batch]])
    return cosine_embedding_loss(left, right, torch.from_numpy(pairs.same[batch]), margin=recipe.margin)


def _curve_of(checkpoint: Path) -> Path:
    return checkpoint.with_suffix(_CURVE)


def _read_curve(checkpoint: Path) -> list[tuple[float, float]]:
    path = _curve_of(checkpoint)
    return [(train, seen) for train, seen in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
