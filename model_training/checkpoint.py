"""Checkpoints: written whole or not at all, and read back without pickle's powers."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import torch


class Stateful(Protocol):
    """What torch's modules, optimizers and schedules have in common."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> object:
        """Go back to a saved state."""


def save_checkpoint(path: Path, step: int, *parts: Stateful) -> None:
    """Write the parts' states after `step` steps; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    torch.save({"step": step, "parts": [part.state_dict() for part in parts]}, fresh)
    os.replace(fresh, path)


def load_checkpoint(path: Path, *parts: Stateful) -> int:
    """Put the parts back as they were saved; returns the steps done, 0 without a checkpoint."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    _restore(saved["parts"], parts)
    return int(saved["step"])


def _restore(states: Iterable[dict[str, Any]], parts: Iterable[Stateful]) -> None:
    for state, part in zip(states, parts, strict=True):
        part.load_state_dict(state)
