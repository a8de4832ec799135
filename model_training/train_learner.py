"""Train one view's embedding learner on cached features (Network B, cosine embedding loss)."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from model_training.checkpoint import load_checkpoint, save_checkpoint
from model_training.learner import EmbeddingLearner
from model_training.losses import cosine_embedding_loss
from model_training.pairs import sample_pairs
from model_training.recipe import Recipe

logger = logging.getLogger(__name__)


def train_learner(
    features: NDArray[np.float32],
    groups: NDArray[np.int64],
    components: NDArray[np.int64],
    recipe: Recipe,
    checkpoint: Path,
    *,
    label: str,
) -> EmbeddingLearner:
    """
    Learn to embed one view; goes on from its checkpoint where there is one.

    Args:
        features: (n, d) of the training postings; groups, components: (n,).
        checkpoint: file written after each epoch.
        label: said beside the progress bar.
    """
    torch.manual_seed(recipe.seed)
    rows = torch.from_numpy(np.array(features, dtype=np.float32))
    learner = EmbeddingLearner(rows.shape[1], min(recipe.dimension, rows.shape[1]))
    learner.start_from(rows)
    optimizer = torch.optim.SGD(learner.parameters(), lr=recipe.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    done = load_checkpoint(checkpoint, learner, optimizer, schedule)
    for epoch in tqdm(range(done, recipe.epochs), desc=label, initial=done, total=recipe.epochs, disable=None):
        # Pairs depend on seed and epoch alone, so that a resumed run sees what an unbroken one would have seen.
        pairs = sample_pairs(
            groups, components, num_neg=recipe.num_neg, rng=np.random.default_rng([recipe.seed, epoch])
        )
        losses = []
        for start in range(0, len(pairs.left), recipe.batch_size):
            batch = slice(start, start + recipe.batch_size)
            left, right = learner(rows[pairs.left[batch]]), learner(rows[pairs.right[batch]])
            loss = cosine_embedding_loss(left, right, torch.from_numpy(pairs.same[batch]), margin=recipe.margin)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        save_checkpoint(checkpoint, epoch + 1, learner, optimizer, schedule)
        logger.info("%s: epoch %d, %d pairs, loss %.4f", label, epoch + 1, len(pairs.left), np.mean(losses))
    return learner.eval()
