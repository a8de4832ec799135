"""The paper's two networks."""

from collections.abc import Iterable

import torch
from torch import nn

WIDTH = 512


class PairClassifier(nn.Module):
    """Network A: are two postings the same product? Fully connected layers on the L1 difference of their features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """(p, features) twice -> (p,) logits; symmetric in its arguments."""
        logits: torch.Tensor = self.layers((left - right).abs()).squeeze(1)
        return logits


def paper_learner(features: int) -> nn.Module:
    """Network B's embedding learner of one view: (n, features) -> (n, 512), non-linear, from random weights."""
    return nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))


class JointLearner(nn.Module):
    """A learner per view, their outputs side by side; with one view, that view's learner alone."""

    def __init__(self, *learners: nn.Module) -> None:
        super().__init__()
        self.learners = nn.ModuleList(learners)

    def forward(self, features: Iterable[torch.Tensor]) -> torch.Tensor:
        """Per view, in order, (n, features) -> (n, sum of widths) unit rows."""
        parts = [learner(rows) for learner, rows in zip(self.learners, features, strict=True)]
        return nn.functional.normalize(torch.cat(parts, dim=1), dim=1)
