"""Train the network of one cell, and note after each epoch what it does on both parts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning import losses, samplers
from torch import nn
from torch.nn import functional as F

from model_training.learner import EmbeddingLearner
from model_training.losses import cosine_embedding_loss
from model_training.pairs import Pairs, sample_pairs
from model_training.paper.cell import Cell, Loss, Negatives, Network
from model_training.paper.networks import JointLearner, PairClassifier, PaperLearner
from model_training.paper.study import Study

KEMBAR_DIMENSION = 256
_PER_GROUP = 4  # postings of a group in a batch of the losses that compare a whole batch
_CENTRES_FASTER = 1000  # ArcFace's class centres start at random: slower ones drag every posting to one place
Rows = NDArray[np.int64]
BatchLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        self.network = _build(study, cell)

    def embed(self, rows: Rows) -> torch.Tensor:
        """(n,) row numbers -> (n, d) unit rows."""
        features = [self.study.features[view][rows] for view in self.cell.views]
        if self.cell.network is Network.FROZEN:
            return F.normalize(torch.cat(features, dim=1), dim=1)
        embedded: torch.Tensor = self.network(features)
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
        said, same = (logits > 0).numpy(), pairs.same
        hits = float((said & same).sum())
        precision, recall = hits / max(1, said.sum()), hits / max(1, same.sum())
        f1 = 2 * hits / max(1, said.sum() + same.sum())
        return PairFigures(float(loss), float(precision), float(recall), float(f1))


def train_cell(trainee: Trainee) -> Iterator[Epoch]:
    """Train, giving what the untrained network and then each epoch came to."""
    study, cell = trainee.study, trainee.cell
    watched = [
        _pairs_of(study, part, cell.num_neg, np.random.default_rng([cell.seed, 0]))
        for part in (study.train, study.validation)
    ]
    batch_loss, extra = _batch_loss(study, cell, trainee)
    if cell.epochs:
        learned = {"params": list(trainee.network.parameters()), "lr": cell.learning_rate}
        centres = {"params": extra, "lr": cell.learning_rate * _CENTRES_FASTER}
        optimizer = torch.optim.SGD([learned, centres] if extra else [learned], momentum=0.9)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    yield Epoch(*(trainee.judge(pairs) for pairs in watched))
    for epoch in range(cell.epochs):
        for loss in _losses(trainee, batch_loss, np.random.default_rng([cell.seed, epoch + 1])):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            optimizer.step()
        schedule.step()
        yield Epoch(*(trainee.judge(pairs) for pairs in watched))


def _build(study: Study, cell: Cell) -> nn.Module:
    widths = {view: study.features[view].shape[1] for view in cell.views}
    match cell.network:
        case Network.FROZEN:
            return nn.Identity()
        case Network.PAIRS:
            return PairClassifier(sum(widths.values()))
        case Network.EMBEDDING:
            return JointLearner({view: PaperLearner(width) for view, width in widths.items()})
        case Network.KEMBAR:
            learners = {view: EmbeddingLearner(width, min(KEMBAR_DIMENSION, width)) for view, width in widths.items()}
            for view, learner in learners.items():
                learner.start_from(study.features[view][study.train])
            return JointLearner(learners)


def _losses(trainee: Trainee, batch_loss: BatchLoss | None, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """The losses of one epoch's batches, each to be stepped on before the next is asked for."""
    study, cell = trainee.study, trainee.cell
    if batch_loss is None:
        pairs = _pairs_of(study, study.train, cell.num_neg, rng)
        if cell.negatives is Negatives.HARDEST:
            pairs = with_hardest(trainee, pairs)
        for start in range(0, len(pairs.left), cell.batch_size):
            part = slice(start, start + cell.batch_size)
            yield trainee.judge_pairs(Pairs(pairs.left[part], pairs.right[part], pairs.same[part]))[1]
        return
    groups = study.groups[study.train]
    sampler = samplers.MPerClassSampler(groups, m=_PER_GROUP, length_before_new_iter=len(groups))
    np.random.seed(int(rng.integers(2**32)))  # the sampler draws from numpy's global state
    order = study.train[np.fromiter(sampler, dtype=np.int64)]
    for start in range(0, len(order), cell.batch_size):
        rows = order[start : start + cell.batch_size]
        yield batch_loss(trainee.embed(rows), torch.from_numpy(study.groups[rows]))


def _batch_loss(study: Study, cell: Cell, trainee: Trainee) -> tuple[BatchLoss | None, list[nn.Parameter]]:
    """The loss over whole batches, and the parameters of its own; None where pairs are what is learned from."""
    made: Mapping[Loss, Callable[[], nn.Module]] = {
        Loss.TRIPLET: lambda: losses.TripletMarginLoss(margin=0.1),
        Loss.CONTRAST: lambda: losses.SupConLoss(temperature=0.1),
        Loss.ARCFACE: lambda: losses.ArcFaceLoss(
            int(study.groups.max()) + 1, trainee.vectors(study.train[:1]).shape[1], scale=16
        ),
    }
    if cell.loss not in made or cell.network is Network.PAIRS:
        return None, []
    loss = made[cell.loss]()
    return loss, list(loss.parameters())


def _pairs_of(study: Study, part: Rows, num_neg: int, rng: np.random.Generator) -> Pairs:
    """Pairs of one part, in row numbers of the study; strangers are of other groups, as in the paper."""
    groups = study.groups[part]
    pairs = sample_pairs(groups, groups, num_neg=num_neg, rng=rng)
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
    turn, seen = np.zeros(len(place), dtype=np.int64), dict[int, int]()
    for number in np.flatnonzero(~pairs.same).tolist():
        turn[number] = seen.get(place[number], 0)
        seen[place[number]] = int(turn[number]) + 1
    right = np.where(pairs.same, pairs.right, hardest[place, turn])
    return Pairs(pairs.left, right, pairs.same)
