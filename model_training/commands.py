"""`kembar-train`: sample, train, evaluate. What needs torch is imported by the command that needs it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from model_training.errors import TrainingError
from model_training.sample.catalogue import draw_catalogue
from service.bundle.errors import BundleError
from service.bundle.feed import FeedError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train Kembar's encoders and thresholds, and draw sample catalogues."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


@main.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
@click.option("--products", type=click.IntRange(min=1), default=100, help="How many products to draw.")
@click.option("--postings", type=click.IntRange(min=1), help="Draw until there are exactly so many postings.")
@click.option("--seed", type=int, default=0, help="The same seed draws the same bytes.")
def sample(out: Path, products: int, postings: int | None, seed: int) -> None:
    """Draw a catalogue of made-up products: postings.csv and images/.

    Example: kembar-train sample --out shop --products 100 --seed 7
    """
    with _explained():
        count = draw_catalogue(out, products=products, seed=seed, postings=postings)
    click.echo(f"{count} postings in {out / 'postings.csv'}")


_CSV = click.argument("csv", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_IMAGES = click.option(
    "--images", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="Folder of pictures."
)


@main.command()
@_CSV
@_IMAGES
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Bundle to write; must not exist yet.")
@click.option("--picture-backbone", type=click.Choice(["mobilenet_v2", "resnet18"]), default="mobilenet_v2")
@click.option("--picture-weights", default="shipped", help="shipped, torchvision, none, or a .safetensors file.")
@click.option("--title-backbone", default="minilm", help="minilm, or a Hugging Face encoder's name or folder.")
@click.option("--image-size", type=click.IntRange(32, 512), default=192, help="Height and width, pixels.")
@click.option("--max-tokens", type=click.IntRange(8, 512), default=64, help="Longest title, tokens.")
@click.option("--dimension", type=click.IntRange(8, 2048), default=256, help="Length of a view's vector.")
@click.option("--margin", type=click.FloatRange(-1, 1), default=0.0, help="Of the cosine embedding loss.")
@click.option("--num-neg", type=click.IntRange(1), default=10, help="Negative pairs for each positive one.")
@click.option("--epochs", type=click.IntRange(0), default=10, help="Of the learners, on cached features.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=0.1)
@click.option("--batch-size", type=click.IntRange(2), default=128)
@click.option(
    "--finetune-epochs", type=click.IntRange(0), default=0, help="Through every layer of the picture network."
)
@click.option("--seed", type=int, default=0, help="One seed makes one result on one machine.")
@click.option(
    "--cache", type=click.Path(path_type=Path), default=Path(".cache/train"), help="Features and checkpoints."
)
@click.option("--save-backbone", type=click.Path(path_type=Path), help="Also write the picture backbone, float16.")
@click.option(
    "--notes", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Markdown for the model card."
)
def train(
    csv: Path,
    images: Path,
    out: Path,
    picture_backbone: str,
    picture_weights: str,
    title_backbone: str,
    image_size: int,
    max_tokens: int,
    dimension: int,
    margin: float,
    num_neg: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    finetune_epochs: int,
    seed: int,
    cache: Path,
    save_backbone: Path | None,
    notes: Path | None,
) -> None:
    """Train a bundle from CSV (posting_id, image, title, label_group).

    Example: kembar-train train shop/postings.csv --images shop/images --out bundles/mine
    """
    with _explained():
        from model_training import train as training
        from model_training.backbones import PictureArchitecture
        from model_training.recipe import Recipe

        recipe = Recipe(
            picture_backbone=PictureArchitecture(picture_backbone),
            picture_weights=picture_weights,
            title_backbone=title_backbone,
            image_size=image_size,
            max_tokens=max_tokens,
            dimension=dimension,
            margin=margin,
            num_neg=num_neg,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            finetune_epochs=finetune_epochs,
            seed=seed,
        )
        words = "" if notes is None else notes.read_text(encoding="utf-8")
        table = training.train(csv, images, out, recipe, cache, save_backbone=save_backbone, notes=words)
    click.echo(f"{table}\n\nbundle written to {out}")


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_CSV
@_IMAGES
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".cache/train"), help="Decoded pictures.")
def evaluate(bundle: Path, csv: Path, images: Path, cache: Path) -> None:
    """Print the four F1s of BUNDLE on CSV: every posting queries all the others.

    Example: kembar-train evaluate bundles/mine shop/postings.csv --images shop/images
    """
    with _explained():
        from model_training.evaluate import evaluate_bundle, render_table

        table = render_table(evaluate_bundle(bundle, csv, images, cache))
    click.echo(table)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an error that a person can mend into one line and exit code 1."""
    try:
        yield
    except (TrainingError, FeedError, BundleError) as exc:
        raise SystemExit(f"kembar-train: {exc}") from exc
    except OSError as exc:
        raise SystemExit(f"kembar-train: {exc}; make room or choose another place") from exc
    except ModuleNotFoundError as exc:
        raise SystemExit(f"kembar-train: the package {exc.name} is not installed; run `make setup`") from exc
