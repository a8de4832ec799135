"""The losses against nested loops."""

import math

import pytest
import torch
from torch.nn import functional as F

from model_training.losses import cosine_embedding_loss, supervised_contrast


def unit_rows(n: int, dimension: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.5, 0.7])
def test_cosine_embedding_loss_is_the_papers(margin: float) -> None:
    """Each pair pays 1 - cos or max(0, cos - margin), and the loss is their mean, as torch's own computes it."""
    left, right = unit_rows(40, 5, 1), unit_rows(40, 5, 2)
    same = torch.arange(40) % 3 == 0
    paid = []
    for row in range(40):
        cosine = sum(float(left[row, axis]) * float(right[row, axis]) for axis in range(5))
        paid.append(1 - cosine if same[row] else max(0.0, cosine - margin))
    loss = cosine_embedding_loss(left, right, same, margin=margin).item()
    assert loss == pytest.approx(sum(paid) / 40, abs=1e-6)
    target = torch.where(same, 1.0, -1.0)
    assert loss == pytest.approx(F.cosine_embedding_loss(left, right, target, margin=margin).item(), abs=1e-6)


def test_supervised_contrast_is_equation_2() -> None:
    """Each row with a positive pays the mean of -log softmax over its positives; rows that share a component but no
    group are neither."""
    vectors = unit_rows(9, 4, 3)
    groups = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 4])
    components = torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 4])
    paid = []
    for i in range(9):
        others = [a for a in range(9) if a != i and (groups[a] == groups[i] or components[a] != components[i])]
        positives = [p for p in others if groups[p] == groups[i]]
        if positives:
            whole = sum(math.exp(float(vectors[i] @ vectors[a]) / 0.1) for a in others)
            logs = [math.log(math.exp(float(vectors[i] @ vectors[p]) / 0.1) / whole) for p in positives]
            paid.append(-sum(logs) / len(positives))
    loss = supervised_contrast(vectors, groups, components, temperature=0.1).item()
    assert loss == pytest.approx(sum(paid) / len(paid), abs=1e-5)


def test_supervised_contrast_without_positives_is_zero() -> None:
    """A batch of singletons teaches nothing, and its loss is a number that can be differentiated."""
    vectors = unit_rows(3, 4, 4).requires_grad_()
    loss = supervised_contrast(vectors, torch.arange(3), torch.arange(3), temperature=0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(vectors.grad).all()
