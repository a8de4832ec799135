"""Checkpoints: written whole or not at all, and read back without pickle's powers."""

import io
import os
from pathlib import Path

import torch

Part = torch.nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler


def save_checkpoint(path: Path, step: int, *parts: Part) -> None:
    """Write the parts' states after `step` steps; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    state = io.BytesIO()  # torch writing by itself to a full disk says nothing of a disk
    torch.save({"step": step, "parts": [part.state_dict() for part in parts]}, state)
    fresh.write_bytes(state.getvalue())
    os.replace(fresh, path)


def load_checkpoint(path: Path, *parts: Part) -> int:
    """Put the parts back as they were saved; returns the steps done, 0 without a checkpoint."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    for part, state in zip(parts, saved["parts"], strict=True):
        part.load_state_dict(state)
    return int(saved["step"])
