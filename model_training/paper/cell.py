"""One cell of the grid: what is trained, and on which pairs."""

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from model_training.recipe import Loss, PictureArchitecture, Recipe
from service.bundle.views import View, view_set_key

PAPER = Recipe(PictureArchitecture.RESNET18, "torchvision", "bert-base-uncased")
"""Its backbones; the rest of what it did is the grid's."""
BOTH = (View.IMAGE, View.TITLE)
MARGINS, NEGATIVES_PER_POSITIVE, RATES, BATCHES = (0.0, 0.5, 0.7), (1, 5, 10), (0.1, 0.01, 0.001), (128, 32)
VIEWS = ((View.IMAGE,), (View.TITLE,), BOTH)


class Network(StrEnum):
    """What is trained."""

    PAIRS = "A"  # a classifier of pairs, on the L1 difference of their features
    EMBEDDING = "B"  # a learner per view; the cosine of its outputs decides
    KEMBAR = "Kembar"  # the learner that bundles ship, in place of the paper's
    FROZEN = "frozen"  # nothing: the backbones' features as they are, concatenated for both views


class Negatives(StrEnum):
    """Where the strangers of a pair come from."""

    RANDOM = "random"
    HARDEST = "hardest"  # the nearest of other groups, looked for anew before each epoch


@dataclass(frozen=True, slots=True)
class Cell:
    """The paper's values are the defaults; `learning_rate` falls to a tenth every 7 epochs, momentum is .9."""

    network: Network
    views: tuple[View, ...]
    margin: float = 0.5
    num_neg: int = 1
    loss: Loss = Loss.COSINE
    negatives: Negatives = Negatives.RANDOM
    learning_rate: float = 0.001
    batch_size: int = 128
    epochs: int = 10
    seed: int = 0

    @property
    def name(self) -> str:
        """
        What tells it from the others, for people.

        >>> Cell(Network.EMBEDDING, BOTH, margin=0.7, num_neg=5).name
        'B, image+title, margin 0.7, 5 negatives'
        """
        parts = [self.network.value, view_set_key(self.views)]
        if self.network in (Network.EMBEDDING, Network.KEMBAR) and self.loss is Loss.COSINE:
            parts.append(f"margin {self.margin:g}")
        if self.network is not Network.FROZEN:
            parts.append(f"{self.num_neg} negatives" if self.loss is Loss.COSINE else self.loss.value)
        plain = Cell(self.network, self.views)
        names = ("negatives", "learning_rate", "batch_size", "seed")
        odd = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}
        parts += [f"{name.replace('_', ' ')} {value}" for name, value in odd.items()]
        return ", ".join(parts)

    def key(self, study: str) -> str:
        """16 hex digits of cell and study: the name of its result."""
        text = json.dumps([study, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def paper_grid(epochs: int) -> list[Cell]:
    """The paper's runs, each once: both networks over views and negatives, margins, rates, batches, hard negatives."""
    frozen = [Cell(Network.FROZEN, views, epochs=0) for views in VIEWS]
    grid = itertools.product(VIEWS, MARGINS, NEGATIVES_PER_POSITIVE)
    embedding = [Cell(Network.EMBEDDING, views, margin, count, epochs=epochs) for views, margin, count in grid]
    pairs = [replace(cell, network=Network.PAIRS, margin=0.5) for cell in embedding]
    joint = Cell(Network.EMBEDDING, BOTH, epochs=epochs)
    studies = [replace(joint, learning_rate=rate, batch_size=size) for rate, size in itertools.product(RATES, BATCHES)]
    hardest = [replace(joint, views=views, num_neg=5, negatives=Negatives.HARDEST) for views in VIEWS]
    return list(dict.fromkeys([*frozen, *pairs, *embedding, *studies, *hardest]))


def loss_grid(epochs: int, seeds: int) -> list[Cell]:
    """Four losses, two rates, on the learner that bundles ship, per view and seed: which should be the default?"""
    return [
        Cell(Network.KEMBAR, (view,), 0.0, 10, loss, learning_rate=rate, epochs=epochs, seed=seed)
        for view in BOTH
        for loss in Loss
        for rate in (0.003, 0.001)
        for seed in range(seeds)
    ]
