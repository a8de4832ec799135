"""The last stretch through every layer of a title network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_training.backbones import TitleBackbone, freeze
from model_training.features import pad_tokens
from model_training.finetune_titles import finetune_titles
from model_training.learner import EmbeddingLearner
from model_training.lookalikes import Batch, Lookalikes
from model_training.losses import supervised_contrast
from model_training.networks import TitleNetwork
from model_training.recipe import Recipe
from model_training.torchvision_cure import transformers

PRODUCTS, STEPS = 24, 70
GROUPS = np.repeat(np.arange(PRODUCTS), 2)


class Interrupted(Exception):
    """The power failed."""


class FailingLookalikes(Lookalikes):
    """Gives batches until so many were drawn."""

    left = STEPS

    def draw(self, rng: np.random.Generator) -> Batch:
        """As ever, until the power fails."""
        if not self.left:
            raise Interrupted
        self.left -= 1
        return super().draw(rng)


def titles() -> list[np.ndarray]:
    """Two of each product, of different lengths: its own three words among those that all use."""
    rng = np.random.default_rng(5)
    own = [
        rng.permutation(np.r_[10 + 3 * (row // 2) + np.arange(3), rng.integers(90, 100, row % 7)]) for row in GROUPS * 2
    ]
    return [np.r_[1, words, 2].astype(np.int64) for words in own]


def untrained() -> TitleNetwork:
    """A small random network, dropout in its configuration as it is in real ones."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    backbone = TitleBackbone(transformers.BertModel(config).eval(), 32, tokenizer_json="", source="random")
    freeze(backbone.network)
    return TitleNetwork(backbone, EmbeddingLearner((32,), 16))


def tuned(checkpoint: Path, seed: int = 0, stop_after: int = STEPS) -> TitleNetwork:
    """The network after an epoch a step."""
    network = untrained()
    start = np.random.default_rng(3).normal(size=(len(GROUPS), 8)).astype(np.float32)
    lookalikes = FailingLookalikes(np.arange(len(GROUPS)), GROUPS, GROUPS, start, seeds=8, each=2)
    lookalikes.left = stop_after
    recipe = Recipe(title_finetune_epochs=STEPS, seed=seed)
    finetune_titles(network, titles(), lookalikes, recipe, checkpoint)
    return network


def loss_of(network: TitleNetwork) -> float:
    """Over all titles at once, none of their tokens left out."""
    numbers = torch.from_numpy(GROUPS)
    with torch.inference_mode():
        return float(supervised_contrast(network(*pad_tokens(titles())), numbers, numbers, temperature=0.1))


def test_titles_of_a_product_come_together_and_one_seed_makes_one_network(tmp_path: Path) -> None:
    """The loss falls to a third; word embeddings stay, all else moves; equal seeds end equal, others do not."""
    before, first = untrained(), tuned(tmp_path / "a.pt")
    assert loss_of(first) < loss_of(before) / 3
    again, other = tuned(tmp_path / "b.pt"), tuned(tmp_path / "c.pt", seed=1)
    untouched = {"body.embeddings.word_embeddings.weight", "body.embeddings.position_ids", "learner.mean"}
    for name, tensor in first.state_dict().items():
        moved = not torch.equal(tensor, before.state_dict()[name])
        assert moved == (name not in untouched and "pooler" not in name), name
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert not torch.equal(first.learner.projection.weight, other.learner.projection.weight)


def test_an_interrupted_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    """Broken at step 60 and started again, it goes on from step 50 and gives the same weights."""
    with pytest.raises(Interrupted):
        tuned(tmp_path / "broken.pt", stop_after=60)
    resumed, unbroken = tuned(tmp_path / "broken.pt", stop_after=STEPS - 50), tuned(tmp_path / "whole.pt")
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, unbroken.state_dict()[name]), name
