"""The losses against nested loops."""

import itertools
import math

import pytest
import torch
from pytorch_metric_learning import losses
from torch.nn import functional as F

from model_training.losses import ArcFace, cosine_embedding_loss, supervised_contrast, triplet_loss

GROUPS = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3, 4])
COMPONENTS = torch.tensor([0, 0, 1, 1, 1, 1, 3, 3, 4])  # products 1 and 2 share a photograph


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
    groups, components = GROUPS, COMPONENTS
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


def test_triplet_loss_is_the_mean_violation() -> None:
    """Over every anchor, twin and stranger of another super-component: how much nearer than margin .1 the stranger
    stands, on average over those that do."""
    vectors = unit_rows(9, 4, 5)
    violations = []
    for a, p, n in itertools.product(range(9), repeat=3):
        if a != p and GROUPS[a] == GROUPS[p] and COMPONENTS[a] != COMPONENTS[n]:
            near, far = float((vectors[a] - vectors[p]).norm()), float((vectors[a] - vectors[n]).norm())
            violations.append(max(0.0, near - far + 0.1))
    expected = sum(violations) / sum(violation > 0 for violation in violations)
    assert triplet_loss(vectors, GROUPS, COMPONENTS).item() == pytest.approx(expected, abs=1e-5)


def test_arcface_is_equation_3_without_the_tied_products() -> None:
    """Each posting pays -log softmax of its own centre, an angle of .5 further off, over all products but those that
    share a super-component with its own."""
    start = unit_rows(9, 4, 7)
    start[5] = start[2]  # products 1 and 2 look alike, so that leaving one out is seen
    vectors = F.normalize(start + unit_rows(9, 4, 6), dim=1)
    arcface = ArcFace(start, GROUPS, COMPONENTS)
    centres = [F.normalize(start[product == GROUPS].sum(0), dim=0) for product in range(5)]
    paid = []
    for row, own in enumerate(GROUPS.tolist()):
        cosines = [float(vectors[row] @ centre) for centre in centres]
        moved = 16 * math.cos(math.acos(cosines[own]) + math.radians(28.6))
        rivals = [product for product in range(5) if {own, product} not in ({1, 2}, {own})]
        whole = math.exp(moved) + sum(math.exp(16 * cosines[product]) for product in rivals)
        paid.append(-math.log(math.exp(moved) / whole))
    assert arcface(vectors, GROUPS, COMPONENTS).item() == pytest.approx(sum(paid) / 9, abs=1e-4)


def test_untied_losses_equal_pytorch_metric_learnings() -> None:
    """Where no two products share a super-component, contrast and ArcFace are what that library computes, also where
    the angle passes half a turn."""
    vectors, theirs = unit_rows(9, 4, 8), losses.ArcFaceLoss(5, 4, scale=16)
    vectors[0] = -F.normalize(theirs.W[:, 0], dim=0).detach()
    ours = ArcFace(vectors, GROUPS, GROUPS)
    ours.centres.data = theirs.W.data.T
    assert ours(vectors, GROUPS, GROUPS).item() == pytest.approx(theirs(vectors, GROUPS).item(), abs=1e-2)
    contrast = losses.SupConLoss(temperature=0.1)(vectors, GROUPS).item()
    assert supervised_contrast(vectors, GROUPS, GROUPS).item() == pytest.approx(contrast, abs=1e-4)


def test_arcface_learns_where_a_posting_is_its_own_centre() -> None:
    """A product of one posting starts at angle 0, where the gradient of an arc cosine is infinite."""
    vectors = unit_rows(3, 4, 9).requires_grad_()
    products = torch.arange(3)
    ArcFace(vectors, products, products)(vectors, products, products).backward()
    assert torch.isfinite(vectors.grad).all()
