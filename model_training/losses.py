"""The losses, each checked against nested loops by its test."""

import torch
from torch.nn import functional as F


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
    vectors: torch.Tensor, groups: torch.Tensor, components: torch.Tensor, *, temperature: float
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
