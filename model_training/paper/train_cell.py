"""Train the network of one cell, and note after each epoch what it does on both parts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support
from torch import nn
from torch.nn import functional as F

from model_training.losses import cosine_embedding_loss
from model_training.pairs import Pairs, sample_pairs
from model_training.paper.cell import Cell, Negatives, Network
from model_training.paper.networks import JointLearner, PairClassifier, paper_learner
from model_training.paper.study import Study
from model_training.recipe import Recipe
from model_training.train_learner import Labelled, Training, descend
from service.bundle.views import View

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairFigures:
    """How well "same" is told from "not the same" over pairs, at one cut."""

    loss: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """Both parts after one epoch, each on pairs that stay the same from epoch to epoch."""

    train: PairFigures
    validation: PairFigures


class Trainee:
    """The network of a cell over a study's rows; one network sees pairs, the others embed."""

    def __init__(self, study: Study, cell: Cell) -> None:
        torch.manual_seed(cell.seed)
        self.study, self.cell = study, cell
        self._shipped: Training | None = None
        widths = [study.features[view].shape[1] for view in cell.views]
        match cell.network:
            case Network.PAIRS:
                self.network: nn.Module = PairClassifier(sum(widths))
            case Network.EMBEDDING:
                self.network = JointLearner(*map(paper_learner, widths))
            case Network.FROZEN:
                self.network = JointLearner(*(nn.Identity() for _ in widths))
            case Network.KEMBAR:
                (view,) = cell.views
                self._shipped = Training(_training_part(study, view), _recipe_of(cell))
                self.network = JointLearner(self._shipped.learner)

    def run_epochs(self) -> Iterator[None]:
        """Train, an epoch at each step."""
        cell = self.cell
        if self._shipped is not None:
            for epoch in range(cell.epochs):
                self._shipped.run_epoch(epoch)
                yield
        elif cell.epochs:
            optimizer, schedule = paper_schedule(self.network.parameters(), cell.learning_rate)
            for epoch in range(cell.epochs):
                pairs = _pairs_of(self.study, self.study.train, cell, epoch + 1)
                if cell.negatives is Negatives.HARDEST:
                    pairs = with_hardest(self, pairs)
                descend((self.judge_pairs(batch)[1] for batch in pairs.batches(cell.batch_size)), optimizer)
                schedule.step()
                yield

    def embed(self, rows: Rows) -> torch.Tensor:
        """(n,) row numbers -> (n, d) unit rows."""
        embedded: torch.Tensor = self.network([self.study.features[view][rows] for view in self.cell.views])
        return embedded

    def judge_pairs(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
        """
        (p,) above 0 where the network says "same" (a logit; the cosine less the margin), and the mean loss: the
        classifier's is cross-entropy, the others' the cosine embedding loss.
        """
        same = torch.from_numpy(pairs.same)
        if self.cell.network is Network.PAIRS:
            features = torch.cat([self.study.features[view] for view in self.cell.views], dim=1)
            logits: torch.Tensor = self.network(features[pairs.left], features[pairs.right])
            return logits, F.binary_cross_entropy_with_logits(logits, same.float())
        left, right = self.embed(pairs.left), self.embed(pairs.right)
        loss = cosine_embedding_loss(left, right, same, margin=self.cell.margin)
        return (left * right).sum(1) - self.cell.margin, loss

    @torch.inference_mode()
    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """(n, d) float32 unit rows."""
        return np.asarray(self.embed(rows).numpy(), dtype=np.float32)

    @torch.inference_mode()
    def judge(self, pairs: Pairs) -> PairFigures:
        """Loss, and precision, recall and F1 at cosine > margin (a logit above 0 for the classifier)."""
        logits, loss = self.judge_pairs(pairs)
        figures = precision_recall_fscore_support(pairs.same, logits > 0, average="binary", zero_division=0)
        return PairFigures(float(loss), *map(float, figures[:3]))


def paper_schedule(
    learned: Iterable[nn.Parameter], rate: float
) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.StepLR]:
    """The paper's: momentum .9, and a rate that falls to a tenth every 7 epochs."""
    optimizer = torch.optim.SGD(learned, lr=rate, momentum=0.9)
    return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)


def train_cell(trainee: Trainee) -> Iterator[Epoch]:
    """Train, giving what the untrained network and then each epoch came to."""
    study, cell = trainee.study, trainee.cell
    watched = [_pairs_of(study, part, cell, 0) for part in (study.train, study.validation)]
    yield Epoch(*(trainee.judge(pairs) for pairs in watched))
    for _ in trainee.run_epochs():
        yield Epoch(*(trainee.judge(pairs) for pairs in watched))


def _training_part(study: Study, view: View) -> Labelled:
    """As in the paper, products that share a picture are strangers like any others."""
    features, groups = study.features[view][study.train].numpy(), study.groups[study.train]
    return Labelled(features, (features.shape[1],), groups, groups)


def _recipe_of(cell: Cell) -> Recipe:
    pairs = Recipe(margin=cell.margin, num_neg=cell.num_neg)
    return replace(pairs, loss=cell.loss, learning_rate=cell.learning_rate, batch_size=cell.batch_size, seed=cell.seed)


def _pairs_of(study: Study, part: Rows, cell: Cell, epoch: int) -> Pairs:
    """An epoch's pairs of one part, in row numbers of the study; strangers are of other groups, as in the paper."""
    groups, rng = study.groups[part], np.random.default_rng([cell.seed, epoch])
    pairs = sample_pairs(groups, groups, num_neg=cell.num_neg, rng=rng)
    return Pairs(part[pairs.left], part[pairs.right], pairs.same)


def with_hardest(trainee: Trainee, pairs: Pairs) -> Pairs:
    """The same pairs, each stranger replaced by one of the nearest of other groups as the network stands."""
    study = trainee.study
    vectors, groups = trainee.vectors(study.train), study.groups[study.train]
    depth = min(len(vectors), int(np.bincount(groups).max()) + trainee.cell.num_neg)
    _, nearest = faiss.knn(vectors, vectors, depth, metric=faiss.METRIC_INNER_PRODUCT)
    stranger = groups[nearest] != groups[:, None]
    order = np.argsort(~stranger, axis=1, kind="stable")  # the strangers first, still falling by cosine
    hardest = study.train[np.take_along_axis(nearest, order, 1)]
    place = np.searchsorted(study.train, pairs.left)
    right, seen = pairs.right.copy(), Counter[int]()
    for number in np.flatnonzero(~pairs.same).tolist():
        anchor = int(place[number])
        right[number] = hardest[anchor, seen[anchor]]
        seen[anchor] += 1
    return replace(pairs, right=right)
