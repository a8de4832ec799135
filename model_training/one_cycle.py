"""The loop that fine-tuning runs: AdamW, one cycle of the rate, checkpoints from which it goes on as if unbroken."""

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from model_training.checkpoint import load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

_CHECKPOINT_STEPS = 50


def run_one_cycle(
    parts: Sequence[tuple[nn.Module, float]],
    loss_of: Callable[[np.random.Generator], torch.Tensor],
    *,
    steps: int,
    seed: int,
    checkpoint: Path,
    label: str,
) -> None:
    """
    Train what of a network asks for gradients, in place; goes on from the checkpoint where there is one.

    Args:
        parts: of the network, each with the peak of its rate.
        loss_of: draws a batch and gives its loss; it must draw by the generator alone, which seed and step determine.
        steps: in all, those of the checkpoint included; label: said beside the progress bar.
    """
    network = nn.ModuleList([part for part, _ in parts])
    rates = [rate for _, rate in parts]
    learned = [[one for one in part.parameters() if one.requires_grad] for part in network]
    optimizer = torch.optim.AdamW([{"params": own} for own in learned], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rates, total_steps=steps, pct_start=0.15)
    done = load_checkpoint(checkpoint, network, optimizer, schedule)
    mean_loss = 0.0
    bar = tqdm(range(done, steps), desc=label, initial=done, total=steps, unit="step", disable=None)
    for step in bar:
        loss = loss_of(np.random.default_rng([seed, step]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        nn.utils.clip_grad_norm_(itertools.chain(*learned), 1.0)
        optimizer.step()
        schedule.step()
        mean_loss += (loss.item() - mean_loss) / min(step - done + 1, _CHECKPOINT_STEPS)
        bar.set_postfix(loss=f"{mean_loss:.3f}", refresh=False)
        if (step + 1) % _CHECKPOINT_STEPS == 0 or step + 1 == steps:
            save_checkpoint(checkpoint, step + 1, network, optimizer, schedule)
            logger.info("%s: step %d of %d, loss %.3f", label, step + 1, steps, mean_loss)
    network.eval()
