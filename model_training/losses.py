"""What networks are trained by, each checked against an oracle by its test."""

import math

import torch
from pytorch_metric_learning import losses
from pytorch_metric_learning.utils import loss_and_miner_utils
from torch import nn
from torch.nn import functional as F

_TRIPLET_MARGIN = 0.1
_ARCFACE_SCALE, _ARCFACE_MARGIN = 16, math.radians(28.6)
_CENTRE_LENGTH = 0.316  # only its direction counts, and a short one turns ten times as fast as one of length 1


def cosine_embedding_loss(
    left: torch.Tensor, right: torch.Tensor, same: torch.Tensor, *, margin: float
) -> torch.Tensor:
    """
    The paper's loss: 1 - cos for a positive pair, max(0, cos - margin) for a negative one; mean over pairs.

    Args:
        left, right: (p, d) unit rows; same: (p,) bool; margin: -1..1.
    """
    cosine = (left * right).sum(1)
    return torch.where(same, 1 - cosine, F.relu(cosine - margin)).mean()


def supervised_contrast(
    vectors: torch.Tensor, groups: torch.Tensor, components: torch.Tensor, *, temperature: float = 0.1
) -> torch.Tensor:
    """
    Supervised contrastive loss, L_out of Khosla et al. 2020 (arXiv 2004.11362, equation 2).

    Pairs of two products in one super-component (a shared stock photograph) count neither as positive nor as negative.

    Args:
        vectors: (n, d) unit rows; groups, components: (n,) int64; temperature: > 0, the lower the harder.

    Returns:
        Mean over the rows that have a positive; 0 where none has.
    """
    logits = vectors @ vectors.T / temperature
    positive = groups[:, None] == groups[None, :]
    unclear = (components[:, None] == components[None, :]) & ~positive
    logits = logits.masked_fill(torch.eye(len(vectors), dtype=torch.bool) | unclear, float("-inf"))
    positive.fill_diagonal_(False)
    log_share = logits - logits.logsumexp(1, keepdim=True)
    counts = positive.sum(1)
    per_row = -log_share.masked_fill(~positive, 0).sum(1) / counts.clamp(min=1)
    return per_row.sum() / (counts > 0).sum().clamp(min=1)


def triplet_loss(vectors: torch.Tensor, groups: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
    """Triplet loss over every triplet of a batch that violates a margin of 0.1; arguments and ties as above."""
    anchors, positives, others, negatives = loss_and_miner_utils.get_all_pairs_indices(groups)
    apart = components[others] != components[negatives]
    pairs = (anchors, positives, others[apart], negatives[apart])
    loss: torch.Tensor = losses.TripletMarginLoss(margin=_TRIPLET_MARGIN)(vectors, groups, pairs)
    return loss


class ArcFace(nn.Module):
    """
    ArcFace of Deng et al. 2019 (arXiv 1801.07698, equation 3): each product a class, whose centre is learned too.

    The centres start where the postings stand: random ones drag all of them to one place. Other products of a posting's
    super-component are left out of its softmax, neither right nor wrong.

    Args:
        vectors: (n, d) unit rows of the training postings; groups: (n,) int64, products numbered from 0; components:
            (n,) int64.
    """

    def __init__(self, vectors: torch.Tensor, groups: torch.Tensor, components: torch.Tensor) -> None:
        super().__init__()
        products = int(groups.max()) + 1 if len(groups) else 0
        sums = torch.zeros(products, vectors.shape[1]).index_add(0, groups, vectors.detach())
        self.centres = nn.Parameter(_CENTRE_LENGTH * F.normalize(sums, dim=1))
        self._components = torch.zeros(len(sums), dtype=torch.int64).scatter(0, groups, components)

    def forward(self, vectors: torch.Tensor, groups: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
        """The loss of a batch: (b, d) unit rows, their (b,) products and super-components."""
        cosine = vectors @ F.normalize(self.centres, dim=1).T
        own = F.one_hot(groups, len(self.centres)).bool()
        tied = (components[:, None] == self._components) & ~own
        # Not by arc cosine, whose gradient is infinite where a product's only posting is its centre.
        sine = (1 - cosine.square()).clamp(min=1e-6).sqrt()
        moved = torch.where(
            cosine > -math.cos(_ARCFACE_MARGIN),
            cosine * math.cos(_ARCFACE_MARGIN) - sine * math.sin(_ARCFACE_MARGIN),
            cosine - _ARCFACE_MARGIN * math.sin(_ARCFACE_MARGIN),  # beyond half a turn it would fall again
        )
        logits = torch.where(own, moved, cosine).masked_fill(tied, float("-inf"))
        return F.cross_entropy(_ARCFACE_SCALE * logits, groups)
