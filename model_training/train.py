"""The straight road: postings.csv and pictures become a bundle."""

import dataclasses
import json
import logging
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from model_training.backbones import (
    PictureBackbone,
    TitleBackbone,
    load_picture_backbone,
    load_title_backbone,
    save_picture_backbone,
)
from model_training.bundle_writer import describe_environment, staged, write_golden_examples
from model_training.evaluate import Row, evaluate, render_table
from model_training.export_encoders import ShippedEncoders, export_encoders
from model_training.fit import Fit, fit
from model_training.learn import learn_pictures, learn_titles
from model_training.material import Material, prepare_material
from model_training.model_card import write_model_card
from model_training.posting_vectors import PostingVectors, encode_catalogue
from model_training.recipe import Recipe
from model_training.seen import SEEN, join_marks, refuse_seen
from model_training.train_learner import read_curves
from service.bundle import lexical
from service.bundle.bundle import MANIFEST, TOKENIZER, compute_encoder_id
from service.bundle.manifest import Manifest, PictureSpec, TitleSpec, write_manifest
from service.bundle.sealing import digest_of
from service.bundle.views import View

logger = logging.getLogger(__name__)

_LEARNING = "one matrix, one saved copy"  # changes with the code: checkpoints of other learners are not taken up


def train(
    csv: Path, images: Path, out: Path, recipe: Recipe, cache: Path, *, save_backbone: Path | None, notes: str
) -> str:
    """
    Train a bundle.

    Args:
        csv, images: the catalogue (our columns or Kaggle's) and the folder of its pictures.
        out: the bundle's directory; it must not exist.
        cache: directory for decoded pictures, features and checkpoints; a broken run goes on from there.
        save_backbone: where to write the picture backbone as it stands after training, float16 safetensors.
        notes: Markdown for the model card, on sources and licences say.

    Returns:
        The table of test figures, Markdown.

    Raises:
        TrainingError, FeedError, BundleError: each says what to do.
    """
    with staged(out) as stage:
        picture = load_picture_backbone(recipe.picture_backbone, recipe.picture_weights)
        spec = recipe.picture_spec(picture.normalisation.mean, picture.normalisation.std)
        material = prepare_material(csv, images, spec, cache, seed=recipe.seed, fold=recipe.fold)
        refuse_seen(
            picture.seen, material.catalogue, material.split.test, f"the backbone {Path(recipe.picture_weights).name}"
        )
        title = load_title_backbone(recipe.title_backbone)
        sources = (material.catalogue.fingerprint(), picture.source, title.source, _LEARNING)
        checkpoints = cache / f"run-{recipe.key(*sources)}"
        torch.manual_seed(recipe.seed)
        pictures = learn_pictures(material, picture, recipe, cache, checkpoints)
        titles = learn_titles(material, title, recipe, cache, checkpoints)
        seen = join_marks(picture.seen, material.catalogue.marks[material.split.fitted])
        np.save(stage / SEEN, seen, allow_pickle=False)
        if save_backbone is not None:
            save_picture_backbone(picture, save_backbone, seen, f"trained by Kembar from {picture.source}")
        encoders = export_encoders(stage, pictures, titles, title, material, recipe)
        vectors = encode_catalogue(
            material.catalogue, material.pixels, encoders.image, encoders.title, encoders.lexical
        )
        origin = _say_origin(csv, images, material, picture, title, recipe)
        manifest = _describe(stage, encoders, _fit(vectors, material, recipe), spec, recipe.title_spec(), origin)
        rows = list(
            evaluate(manifest, vectors, material.catalogue.groups, material.catalogue.titles, material.split.test)
        )
        _write_pages(stage, manifest, rows, encoders, read_curves(checkpoints), notes)
    return render_table(rows)


def _fit(vectors: PostingVectors, material: Material, recipe: Recipe) -> Fit:
    """Validation postings are the queries; training postings stand in the gallery beside them, as distractors."""
    gallery = material.split.fitted
    queries = np.searchsorted(gallery, material.split.validation)
    there = material.catalogue.take(gallery)
    return fit(vectors.take(gallery), there.groups, there.titles, there.files, queries, seed=recipe.seed)


def _say_origin(
    csv: Path, images: Path, material: Material, picture: PictureBackbone, title: TitleBackbone, recipe: Recipe
) -> dict[str, str]:
    """The bundle's provenance; of files their names alone, so that it says nothing of the machine."""
    split, told = material.split, json.loads(recipe.describe())
    changed = [name for name, default in json.loads(Recipe().describe()).items() if told[name] != default]
    options = (f"--{name.replace('_', '-')} {shlex.quote(str(told[name]))}" for name in changed)
    return {
        "command": " ".join(["kembar-train train", csv.name, "--images", images.name, "--out BUNDLE", *options]),
        "data": f"sha256:{material.catalogue.fingerprint()}",
        "postings": f"{len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test",
        "picture_backbone": f"{picture.architecture} from {picture.source}",
        "title_backbone": title.source,
        "recipe": recipe.describe(),
        **{f"version_{name}": text for name, text in describe_environment().items()},
    }


def _describe(
    stage: Path,
    encoders: ShippedEncoders,
    fitted: Fit,
    picture: PictureSpec,
    title: TitleSpec,
    provenance: Mapping[str, str],
) -> Manifest:
    specs = {View.IMAGE: encoders.image.spec, View.TITLE: encoders.title.spec, View.LEXICAL: lexical.SPEC}
    digests = {name: digest_of(stage / name) for name in (TOKENIZER, *(spec.file for spec in specs.values()))}
    return Manifest(
        format_version=1,
        encoder_id=compute_encoder_id(digests, specs, picture, title),
        picture=picture,
        title=title,
        encoders=specs,
        weights=fitted.weights,
        decisions=fitted.decisions,
        gallery_size=fitted.gallery_size,
        metrics={},
        provenance=provenance,
    )


def _write_pages(
    stage: Path,
    manifest: Manifest,
    rows: list[Row],
    encoders: ShippedEncoders,
    curves: Mapping[str, Mapping[str, float]],
    notes: str,
) -> None:
    figures = {
        f"test {row.name}": {
            "queries": float(row.queries),
            **{f"f1_{name}": round(value, 4) for name, value in dataclasses.asdict(row.f1s).items()},
        }
        for row in rows
    }
    measured = dataclasses.replace(manifest, metrics={**figures, **curves, "encoders": encoders.figures})
    write_manifest(stage / MANIFEST, measured)
    write_golden_examples(stage, manifest.picture, encoders)
    write_model_card(stage, measured, render_table(rows), notes)
