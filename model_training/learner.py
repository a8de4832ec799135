"""Network B's embedding learner: backbone features of one view become a unit vector."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class EmbeddingLearner(nn.Module):
    """
    One matrix on centred features, the result scaled to unit length.

    Features of several widths (a network's stages) count alike: each is scaled to unit length first. It starts at the
    principal components, so where the frozen backbone stands: training on few groups can only move on from there
    (docs/decisions/0002). The paper's learner has a non-linear layer, which gains nothing here (docs/decisions/0011).

    Args:
        widths: of the parts of a feature row.
        dimension: length of the embedding, at most the sum of the widths.
    """

    def __init__(self, widths: Sequence[int], dimension: int) -> None:
        super().__init__()
        self._widths, features = list(widths), sum(widths)
        self.mean = nn.Buffer(torch.zeros(features))
        self.projection = nn.Linear(features, dimension, bias=False)

    def start_from(self, features: torch.Tensor) -> None:
        """
        Centre on these features and project on their principal components.

        Args:
            features: (n, features) float32 of training postings.
        """
        self.mean.copy_(self._scale(features).mean(0))
        centred = self._centre(features)
        components = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)  # falling eigenvalues
        with torch.no_grad():
            self.projection.weight.copy_(components[:, : self.projection.out_features].T)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, features) -> (n, dimension), unit rows."""
        return F.normalize(self.projection(self._centre(features)), dim=1)

    def _centre(self, features: torch.Tensor) -> torch.Tensor:
        return F.normalize(self._scale(features) - self.mean, dim=1)

    def _scale(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.normalize(part, dim=1) for part in torch.split(features, self._widths, dim=1)], dim=1)
