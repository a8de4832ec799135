"""The last stretch for titles: every layer of the title network learns, by supervised contrast of alike products."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model_training.features import pad_tokens
from model_training.lookalikes import Lookalikes
from model_training.losses import supervised_contrast
from model_training.networks import TitleNetwork
from model_training.one_cycle import run_one_cycle
from model_training.recipe import Recipe

Tokens = NDArray[np.int64]

_DROPPED = 0.1  # share of a title's tokens that are left out, so that no single one decides
_PIECES = 4  # a batch goes through by length: padded to its longest title, it takes twice as long
_PEAK_RATE = 2e-4


def finetune_titles(
    network: TitleNetwork,
    tokens: Sequence[Tokens],
    lookalikes: Lookalikes,
    recipe: Recipe,
    checkpoint: Path,
) -> None:
    """
    Train a network, in place; goes on from the checkpoint where there is one.

    Without dropout: tokens left out by lot do its work. The word embeddings stay as they are: half of the weights, of
    which a catalogue's titles touch few.

    Args:
        tokens: of every title, as the service's tokenizer gives them; the rows that `lookalikes` draws.
    """
    network.eval()
    network.requires_grad_(True)
    network.body.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]  # of every Hugging Face encoder

    def loss_of(rng: np.random.Generator) -> torch.Tensor:
        batch = lookalikes.draw(rng)
        vectors = _encode(network, [_thin(tokens[row], rng) for row in batch.rows])
        return supervised_contrast(vectors, batch.groups, batch.components)

    run_one_cycle(
        [(network.body, _PEAK_RATE), (network.learner, _PEAK_RATE)],
        loss_of,
        steps=lookalikes.steps(recipe.title_finetune_epochs),
        seed=recipe.seed,
        checkpoint=checkpoint,
        label="title fine-tuning",
    )


def _thin(tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """Without some tokens; the first and the last, which mark beginning and end, stay."""
    stays = rng.random(len(tokens)) >= _DROPPED
    stays[[0, -1]] = True
    return tokens[stays]


def _encode(network: TitleNetwork, tokens: Sequence[Tokens]) -> torch.Tensor:
    """(b, dimension) in the order of the titles."""
    order = np.argsort([len(title) for title in tokens], kind="stable")
    pieces = [network(*pad_tokens([tokens[row] for row in piece])) for piece in np.array_split(order, _PIECES)]
    vectors: torch.Tensor = torch.cat(pieces)[np.argsort(order)]
    return vectors
