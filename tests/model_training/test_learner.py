"""The embedding learner and its training."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model_training.learner import EmbeddingLearner
from model_training.ranking import rank
from model_training.recipe import Loss, Recipe
from model_training.train_learner import Labelled, read_curves, train_learner

RECIPE = Recipe(dimension=8, epochs=4, batch_size=32, num_neg=4)


def groups_in_noise() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """40 groups of 5 that agree in 4 of 32 features, which noise drowns."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 5)
    features = rng.normal(size=(200, 32)) * 3
    features[:, :4] = rng.normal(size=(40, 4))[groups] + rng.normal(size=(200, 4)) * 0.1
    return features.astype(np.float32), groups


def test_an_untrained_learner_is_the_principal_components() -> None:
    """Before training, cosines are those of the scaled, centred features seen through their principal components."""
    features, _ = groups_in_noise()
    learner = EmbeddingLearner((20, 12), 8)
    learner.start_from(torch.from_numpy(features))
    got = learner(torch.from_numpy(features)).detach().numpy()
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in np.split(features, [20], axis=1)]
    scaled = np.concatenate(parts, axis=1)
    centred = scaled - scaled.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ components[:8].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(got @ got.T, expected @ expected.T, atol=1e-4)


def test_training_finds_what_groups_share(tmp_path: Path) -> None:
    """On features that hide the group in noise, training more than doubles how often the nearest is of the group."""
    features, groups = groups_in_noise()
    part = Labelled(features, (32,), groups, groups)

    def right(learner: EmbeddingLearner) -> float:
        vectors = learner(torch.from_numpy(features)).detach().numpy()
        return float(rank(vectors, groups, np.arange(200)).right[:, 0].mean())

    untrained = train_learner(part, part, replace(RECIPE, epochs=0), tmp_path / "a.pt", label="")
    trained = train_learner(part, part, replace(RECIPE, epochs=20), tmp_path / "b.pt", label="")
    assert right(trained) > 2 * right(untrained)


class PowerCut(Exception):
    """What the test calls a broken run."""


class Breaking(logging.Handler):
    """Breaks a run off once it says that its second epoch is done."""

    def emit(self, record: logging.LogRecord) -> None:
        if "epoch 2" in record.getMessage():
            raise PowerCut


@pytest.mark.parametrize("loss", list(Loss))
def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path, loss: Loss) -> None:
    """Two epochs, a break and two more give the very weights of four, ArcFace's centres and the rate included."""
    features, groups = groups_in_noise()
    part = Labelled(features, (32,), groups, groups)
    recipe = replace(RECIPE, loss=loss)
    unbroken = train_learner(part, part, recipe, tmp_path / "whole.pt", label="")
    told, breaking = logging.getLogger(train_learner.__module__), Breaking(logging.INFO)
    told.addHandler(breaking)
    told.setLevel(logging.INFO)
    try:
        with pytest.raises(PowerCut):
            train_learner(part, part, recipe, tmp_path / "broken.pt", label="")
    finally:
        told.removeHandler(breaking)
        told.setLevel(logging.NOTSET)
    assert len(json.loads((tmp_path / "broken.curve.json").read_text())) == 2
    resumed = train_learner(part, part, recipe, tmp_path / "broken.pt", label="")
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    curves = read_curves(tmp_path)
    for seen in ("train", "validation"):
        assert list(curves[f"whole, {seen} loss by epoch"]) == ["1", "2", "3", "4"]
        assert curves[f"broken, {seen} loss by epoch"] == curves[f"whole, {seen} loss by epoch"]
    assert curves["whole, validation loss by epoch"]["4"] < curves["whole, validation loss by epoch"]["1"]


@pytest.mark.parametrize("seed", [1, 2])
def test_one_seed_makes_one_result(tmp_path: Path, seed: int) -> None:
    """The same seed gives equal weights, another seed others."""
    features, groups = groups_in_noise()
    part = Labelled(features, (32,), groups, groups)
    runs = [
        train_learner(part, part, replace(RECIPE, seed=chosen), tmp_path / f"{run}.pt", label="")
        for run, chosen in enumerate((seed, seed, seed + 1))
    ]
    first, again, other = (run.projection.weight for run in runs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("loss", list(Loss))
def test_a_view_that_no_posting_has_ends_untrained(tmp_path: Path, loss: Loss) -> None:
    """Where there is nothing to learn from, training ends at once with what it started from."""
    nothing = Labelled(np.empty((0, 32), np.float32), (32,), np.empty(0, np.int64), np.empty(0, np.int64))
    train_learner(nothing, nothing, replace(RECIPE, loss=loss), tmp_path / "none.pt", label="")
