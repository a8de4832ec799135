"""
What pictures tell of products, classes and strangers that no network has seen: five folds over real photographs.

    python -m benchmarks.folds REAL [--out DIR] [--json FILE]

REAL holds `luma`, `grocery` and `clothing`, each with postings.csv and images/. Every picture stands there once; titles
are kept for luma alone. Each fold trains a bundle with the recipe's defaults on four fifths, by super-component: three
to learn from, one for thresholds. The fifth that is left asks, so that each posting is asked once, by a bundle that has
not seen it. Thresholds are those that the bundle carries. Where none is needed, luma's f1_mean at the best threshold, a
learner of the same recipe and the linear head beside it learn from luma's four fifths. Intervals: bootstrap, 1,000
resamples, over luma's products or over queries.
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from benchmarks.report import write_report
from model_training.backbones import PictureBackbone, freeze, load_picture_backbone
from model_training.decide import THRESHOLDS
from model_training.features import compute_picture_features
from model_training.learn import learn_pictures
from model_training.losses import supervised_contrast
from model_training.material import Material
from model_training.metrics import f1_mean, f1_mean_alone, recall_at, reliability
from model_training.ranking import rank, sweep
from model_training.recipe import Recipe
from model_training.report.evidence import Evidence, gather
from model_training.report.quality import candidates
from model_training.split import FOLDS, Split
from model_training.train import train
from service.bundle.views import Goal, View

SOURCES = ("luma", "grocery", "clothing")
COLUMNS = ("posting_id", "image", "title", "label_group")
RESAMPLES = 1000
PICTURE, SURE = "image", 0.9
OURS = "learner"  # ours, from luma alone; `bundle` is the whole product, from all three sources
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fold:
    """
    What one fold's test part tells: per query, by name of what is measured, NaN where a query has no meaning.

    `kept` is F1 at the learned threshold over F1 at the best one, by view set; `said`, `right` and `weight` are of the
    ten nearest candidates by picture, see `model_training.report.quality.candidates`.
    """

    luma_groups: NDArray[np.int64]
    per_query: Mapping[str, Floats]
    kept: Mapping[str, float]
    said: Floats
    right: Floats
    weight: Floats


def main() -> None:
    """Train what is not there yet, measure, print, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--out", type=Path, default=Path(".cache/folds"))
    parser.add_argument("--json", type=Path, default=Path(".cache/benchmarks/folds.json"))
    parser.add_argument("--image-size", type=int, default=Recipe().image_size)
    parser.add_argument("--finetune-epochs", type=int, default=0)
    options = parser.parse_args()
    folder = lay_out(options.real, options.out / "catalogue")
    folds = []
    for number in range(FOLDS):
        recipe = Recipe(fold=number, image_size=options.image_size, finetune_epochs=options.finetune_epochs)
        bundle, cache = options.out / f"bundle-{recipe.key()}", options.out / "cache"
        csv_file, images = folder / "postings.csv", folder / "images"
        if not bundle.exists():
            train(csv_file, images, bundle, recipe, cache, save_backbone=None, notes="")
        folds.append(measure(gather(bundle, csv_file, images, cache), cache))
    lines, figures = summarise(folds)
    print("\n".join(lines))
    write_report(options.json, figures)


def lay_out(real: Path, folder: Path) -> Path:
    """Write one catalogue of all sources: every picture once, ids and groups prefixed so that no two sources meet."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "postings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name in SOURCES:
            link = folder / "images" / name
            if not link.exists():
                link.symlink_to((real / name / "images").resolve(), target_is_directory=True)
            with (real / name / "postings.csv").open(newline="", encoding="utf-8") as rows:
                by_picture = {row["image"]: row for row in reversed(list(csv.DictReader(rows)))}
            writer.writerows(
                {
                    "posting_id": f"{name}-{row['posting_id']}",
                    "image": f"{name}/{picture}",
                    "title": row["title"] if name == "luma" else "",
                    "label_group": f"{name}-{row['label_group']}" if row["label_group"] else "",
                }
                for picture, row in sorted(by_picture.items())
            )
    return folder


def measure(evidence: Evidence, cache: Path) -> Fold:
    """Everything that one fold's test part tells."""
    catalogue, split = evidence.material.catalogue, evidence.material.split
    source = np.array([posting_id.split("-")[0] for posting_id in catalogue.posting_ids])
    recipe, pixels = evidence.recipe, evidence.material.pixels
    backbone = load_picture_backbone(recipe.picture_backbone, recipe.picture_weights)
    freeze(backbone.network)
    features = compute_picture_features(backbone, pixels, cache)[pixels.rows_of(catalogue)]
    last = features[:, -backbone.network.widths[-1] :]
    centred = last - last[split.train].mean(0)
    frozen = (centred / np.linalg.norm(centred, axis=1, keepdims=True)).astype(np.float32)
    known, luma, grocery = (
        rows[source[rows] == name]
        for rows, name in ((split.fitted, "luma"), (split.test, "luma"), (split.test, "grocery"))
    )
    alone = learn_alone(evidence.material, known, backbone, features, recipe, cache)
    head = linear_head(frozen, known, catalogue.groups)
    bundle = evidence.vectors.fuse(np.arange(len(catalogue)), {View.IMAGE: 1.0})
    asked = source[evidence.asked(PICTURE)]
    per_query = {}
    for name, vectors in ((OURS, alone), ("linear head", head), ("frozen", frozen), ("bundle", bundle)):
        per_query[f"{name} f1"], per_query[f"{name} first"] = among(vectors, catalogue.groups, luma)
        per_query[f"{name} grocery"] = recall_at(rank(vectors, catalogue.groups, grocery), 1)
    for goal in Goal:
        counts = sweep(evidence.rankings[PICTURE].agreeing().first(), np.array([evidence.threshold(PICTURE, goal)]))
        per_query[f"{goal} alone"] = (counts.alone[asked == "clothing", 0] > 0).astype(float)
        found = counts.hits[:, 0] / np.where(counts.truth > 0, counts.truth, np.nan)
        per_query[f"{goal} found"] = found[asked == "luma"]
    said, right, weight = (values.ravel() for values in candidates(evidence, PICTURE))
    kept = {key: share_kept(evidence, key) for key in evidence.rankings}
    return Fold(catalogue.groups[luma], per_query, kept, said, right.astype(float), weight)


def learn_alone(
    material: Material,
    known: NDArray[np.int64],
    backbone: PictureBackbone,
    features: NDArray[np.float32],
    recipe: Recipe,
    cache: Path,
) -> NDArray[np.float32]:
    """The vectors of all postings by a learner that the product trained on these alone; the losses watch them too."""
    rows = np.arange(len(known))
    own = Material(
        material.catalogue.take(known), material.pixels, material.components[known], Split(rows, rows, rows[:0])
    )
    checkpoints = cache / f"luma-{recipe.key(own.catalogue.fingerprint())}"
    network = learn_pictures(own, backbone, recipe, cache, checkpoints)
    with torch.inference_mode():
        return np.asarray(network.learner(torch.from_numpy(features)).numpy())


def linear_head(
    features: NDArray[np.float32], rows: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The baseline: one matrix over frozen features, from their principal components, by supervised contrast."""
    torch.manual_seed(0)
    known, products = torch.from_numpy(features[rows]), torch.from_numpy(groups[rows])
    head = nn.Parameter(torch.linalg.svd(known, full_matrices=False).Vh[:256].clone())
    optimizer = torch.optim.AdamW([head], lr=1e-3, weight_decay=0.05)
    for _ in range(300):
        vectors = F.normalize(F.dropout(known, 0.2) @ head.T, dim=1)
        loss = supervised_contrast(vectors, products, products)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        optimizer.step()
    with torch.inference_mode():
        return np.asarray(F.normalize(torch.from_numpy(features) @ head.T, dim=1).numpy())


def among(vectors: NDArray[np.float32], groups: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Per query F1 at the threshold that is best in hindsight, and recall@1; queries and gallery are these rows."""
    ranking = rank(vectors[rows], groups[rows], np.arange(len(rows))).first()
    table = f1_mean(sweep(ranking, THRESHOLDS))
    return table[:, table.mean(0).argmax()], recall_at(ranking, 1)


def share_kept(evidence: Evidence, key: str) -> float:
    """F1 at the learned threshold over F1 at the best one, half of the queries singletons, as `balanced` is fitted."""
    counts = sweep(evidence.rankings[key].agreeing().first(), THRESHOLDS)
    f1s = ((f1_mean(counts) + f1_mean_alone(counts)) / 2).mean(0)
    learned = np.abs(THRESHOLDS - evidence.threshold(key, Goal.BALANCED)).argmin()
    return float(f1s[learned] / f1s.max())


def summarise(folds: Sequence[Fold]) -> tuple[list[str], dict[str, object]]:
    """What the folds say together: lines for people, and the figures."""
    pooled = {name: np.concatenate([fold.per_query[name] for fold in folds]) for name in folds[0].per_query}
    mean = {name: float(np.nanmean(values)) for name, values in pooled.items()}
    products = np.concatenate([fold.luma_groups for fold in folds])
    figures: dict[str, object] = dict(mean)
    lines = ["luma by picture, unseen products among each other: f1_mean at the best threshold / recall@1"]
    for name in (OURS, "linear head", "frozen", "bundle"):
        lines.append(f"  {name:12} {mean[f'{name} f1']:.3f} / {mean[f'{name} first']:.3f}")
        for measure in ("f1", "first") if name != OURS else ():
            gain = bootstrap(pooled[f"{OURS} {measure}"] - pooled[f"{name} {measure}"], products)
            lines[-1] += "   {} gains {:+.3f} to {:+.3f}".format(OURS, *gain)
            figures[f"gain over {name}, {measure}"] = gain
    lines.append("grocery by picture, unseen classes among everything: error of recall@1")
    lines += [f"  {name:12} {1 - mean[f'{name} grocery']:.4f}" for name in ("bundle", "frozen")]
    lines.append("clothing by picture, singletons that get an answer; beside it the recall of luma's unseen products")
    lines += [f"  {goal:12} {mean[f'{goal} alone']:.2%}, recall {mean[f'{goal} found']:.3f}" for goal in Goal]
    said, right, weight = (np.concatenate(of) for of in zip(*((f.said, f.right, f.weight) for f in folds), strict=True))
    _, ece, brier = reliability(said, right > 0, weight)
    sure = (said >= SURE) & (weight > 0)
    low, high = bootstrap(right[sure], np.arange(int(sure.sum())), weight[sure])
    lines.append(f"calibration by picture, ten nearest: ECE {ece:.4f}, Brier {brier:.4f}")
    lines.append(f"  of {sure.sum()} with probability >= {SURE} right: {low:.4f} to {high:.4f}")
    figures |= {"ece": ece, "brier": brier, "right where sure": (low, high)}
    lines.append("F1 at the learned threshold / at the best one, half of the queries singletons")
    for key in folds[0].kept:
        kept = [fold.kept[key] for fold in folds]
        lines.append(f"  {key:20} {np.mean(kept):.3f}, least {min(kept):.3f}")
        figures[f"kept, {key}"] = kept
    return lines, figures


def bootstrap(values: Floats, groups: Floats, weight: Floats | None = None) -> tuple[float, float]:
    """95 % interval of the weighted mean, groups drawn with replacement; NaN counts for nothing."""
    there = np.isfinite(values)
    index = np.unique(groups[there], return_inverse=True)[1]
    mass = np.ones(there.sum()) if weight is None else weight[there]
    sums, counts = np.bincount(index, values[there] * mass), np.bincount(index, mass)
    draws = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.quantile(sums[draws].sum(1) / counts[draws].sum(1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
