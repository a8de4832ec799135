"""The last stretch through every layer."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from model_training.backbones import freeze, load_picture_backbone
from model_training.finetune import finetune
from model_training.learner import EmbeddingLearner
from model_training.lookalikes import Lookalikes
from model_training.recipe import PictureArchitecture, Recipe

LITE = PictureArchitecture.EFFICIENTNET_LITE0


def tuned(checkpoint: Path, seed: int) -> nn.ModuleList:
    """The network after one epoch on twelve small pictures of six products."""
    rng = np.random.default_rng(3)
    tensors = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    rows, groups = np.arange(12), np.repeat(np.arange(6), 2)
    backbone = load_picture_backbone(LITE, "packaged")
    freeze(backbone.network)
    torch.manual_seed(0)
    learner = EmbeddingLearner(backbone.network.widths, 16)
    start = rng.normal(size=(12, 16)).astype(np.float32)
    recipe = Recipe(image_size=64, finetune_epochs=3, seed=seed)
    lookalikes = Lookalikes(rows, groups, groups, start, seeds=4, each=3)
    finetune(backbone, learner, tensors, lookalikes, recipe, checkpoint)
    return nn.ModuleList([backbone.network, learner])


def test_the_watched_stages_learn_and_one_seed_makes_one_network(tmp_path: Path) -> None:
    """Every weight of a watched stage moves, nothing else; equal seeds end equal; a finished run is not run again."""
    before = load_picture_backbone(LITE, "packaged").network.state_dict()
    first, again, other = (tuned(tmp_path / f"{run}.pt", seed) for run, seed in enumerate((1, 1, 2)))
    resumed = tuned(tmp_path / "0.pt", 1)
    for name, tensor in first[0].state_dict().items():
        if name.endswith((".weight", ".bias")) and not name.startswith(("stages.0.", "stages.1.", "stages.2.")):
            assert not torch.equal(tensor, before[name]), name
        else:
            assert torch.equal(tensor, before[name]), name
        assert torch.equal(tensor, again[0].state_dict()[name]), name
        assert torch.equal(tensor, resumed[0].state_dict()[name]), name
    assert not torch.equal(first[1].projection.weight, other[1].projection.weight)
