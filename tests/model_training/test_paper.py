"""The paper's networks and grid, on features made up so that the right answer is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from model_training.pairs import Pairs
from model_training.paper.cell import BOTH, Cell, Negatives, Network, loss_grid, paper_grid
from model_training.paper.networks import PairClassifier
from model_training.paper.run import neighbours_agree, run_cells
from model_training.paper.study import Study, split_groups
from model_training.paper.tables import hardest_beside_random, loss_table, pair_table, plain, search_table
from model_training.paper.train_cell import Trainee, train_cell, with_hardest
from model_training.recipe import Loss
from service.bundle.views import View


@pytest.fixture(scope="module")
def study() -> Study:
    """60 groups of 4 around centres in 24 and 16 dimensions, noisy."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 4)
    features = {
        view: torch.from_numpy(
            (rng.normal(size=(60, width))[groups] + rng.normal(size=(240, width))).astype(np.float32)
        )
        for view, width in ((View.IMAGE, 24), (View.TITLE, 16))
    }
    train, validation = split_groups(groups, seed=0)
    return Study(features, groups, train, validation, {"data": "made up"})


def test_the_split_keeps_groups_whole(study: Study) -> None:
    """A fifth of the groups, and none on both sides."""
    sides = [set(study.groups[part].tolist()) for part in (study.train, study.validation)]
    assert ([len(side) for side in sides], sides[0] & sides[1]) == ([48, 12], set())


def test_the_classifier_looks_at_the_difference_alone() -> None:
    """Network A does not care which posting is the left one, nor where the two lie."""
    network = PairClassifier(5)
    left, right = torch.randn(2, 7, 5)
    assert torch.allclose(network(left, right), network(right, left))
    assert torch.allclose(network(left, right), network(left + 3, right + 3), atol=1e-5)


def test_frozen_features_are_joined_as_they_are(study: Study) -> None:
    """Both views side by side, not normalised before; the cosine is that of the long vectors."""
    rows = study.validation[:6]
    joined = np.concatenate([study.features[view][rows].numpy() for view in BOTH], axis=1)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True)
    assert np.allclose(Trainee(study, Cell(Network.FROZEN, BOTH)).vectors(rows), joined, atol=1e-6)


def test_pair_figures_equal_counting(study: Study) -> None:
    """Precision, recall and F1 at cosine > margin are what a loop over the pairs counts."""
    trainee = Trainee(study, Cell(Network.EMBEDDING, BOTH, margin=0.5))
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, 240, (2, 300))
    pairs = Pairs(left, right, study.groups[left] == study.groups[right])
    vectors = trainee.vectors(np.arange(240))
    said = [
        (float(vectors[a] @ vectors[b]) > 0.5, bool(same)) for a, b, same in zip(left, right, pairs.same, strict=True)
    ]
    hits = sum(guess and same for guess, same in said)
    judged = trainee.judge(pairs)
    assert judged.precision == pytest.approx(hits / sum(guess for guess, _ in said))
    assert judged.recall == pytest.approx(hits / sum(same for _, same in said))
    assert judged.f1 == pytest.approx(2 * hits / (sum(guess for guess, _ in said) + sum(same for _, same in said)))


def test_hardest_negatives_are_the_nearest_strangers(study: Study) -> None:
    """The strangers of an anchor become its nearest ones of other groups, each another; positives stay."""
    trainee = Trainee(study, Cell(Network.FROZEN, BOTH, num_neg=3))
    anchor = int(study.train[10])
    pairs = Pairs(np.full(4, anchor), np.array([anchor + 1, 100, 110, 120]), np.array([True, False, False, False]))
    hard = with_hardest(trainee, pairs)
    vectors = trainee.vectors(study.train)
    likeness = vectors @ vectors[10]
    likeness[study.groups[study.train] == study.groups[anchor]] = -2
    assert hard.right[0] == anchor + 1
    assert hard.right[1:].tolist() == study.train[np.argsort(-likeness)[:3]].tolist()


@pytest.mark.parametrize(
    "cell",
    [
        Cell(Network.PAIRS, BOTH, num_neg=1, learning_rate=0.1, epochs=8),
        Cell(Network.EMBEDDING, (View.IMAGE,), learning_rate=0.1, epochs=8),
        Cell(Network.EMBEDDING, BOTH, learning_rate=0.1, epochs=8, negatives=Negatives.HARDEST),
        *(Cell(Network.KEMBAR, (View.TITLE,), 0.0, 10, loss, learning_rate=0.01, epochs=8) for loss in Loss),
    ],
    ids=lambda cell: cell.name,
)
def test_each_network_learns(study: Study, cell: Cell) -> None:
    """On the groups it is trained on, every network and loss tells pairs apart better than before, or ranks better."""
    trainee = Trainee(study, cell)
    before, *_, after = train_cell(trainee)
    if cell.loss is Loss.COSINE:
        assert after.train.loss < before.train.loss
        return
    likeness = trainee.vectors(study.train) @ trainee.vectors(study.train).T
    np.fill_diagonal(likeness, -2)
    groups = study.groups[study.train]
    assert (groups[likeness.argmax(1)] == groups).mean() > 0.5


def test_the_grid_is_run_once_and_tabled(study: Study, tmp_path: Path) -> None:
    """Equal runs give equal results; run again nothing is trained; the tables hold one line a cell."""
    cells = [cell for cell in paper_grid(1) if cell.views == (View.TITLE,)] + loss_grid(1, 2)[-4:]
    first = run_cells(study, cells, tmp_path / "a")
    again = run_cells(study, cells, tmp_path / "a")
    anew = run_cells(study, cells[:2], tmp_path / "b")
    assert again == first
    assert [dataclasses.replace(one, seconds=0) for one in anew] == [
        dataclasses.replace(one, seconds=0) for one in first[:2]
    ]
    assert len(pair_table(first, Network.PAIRS).splitlines()) == 2 + 3
    assert len(pair_table(first, Network.EMBEDDING).splitlines()) == 2 + 9
    assert len(search_table(study, plain(first)).splitlines()) == 2 + 1 + 1 + 9
    assert [one.cell.negatives for one in hardest_beside_random(first)] == [Negatives.RANDOM, Negatives.HARDEST]
    assert "| title | supcon | 0.003 | 2 |" in loss_table(first)


def test_the_grid_is_the_papers() -> None:
    """Nine classifiers, twenty-seven learners, six of rate and batch, hard negatives, no cell twice."""
    grid = paper_grid(10)
    assert len(set(grid)) == len(grid) == 3 + 9 + 27 + 5 + 3  # one of rate and batch is in the twenty-seven
    assert {cell.margin for cell in grid if cell.network is Network.EMBEDDING} == {0.0, 0.5, 0.7}


def test_both_libraries_find_the_same_neighbours(study: Study) -> None:
    """FAISS and scikit-learn agree, and a wrong vector would be seen."""
    vectors = Trainee(study, Cell(Network.FROZEN, BOTH)).vectors(study.train)
    assert neighbours_agree(vectors)
    assert not neighbours_agree(vectors * np.linspace(0.5, 1, len(vectors), dtype=np.float32)[:, None])
