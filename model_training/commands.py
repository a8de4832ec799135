"""`kembar-train`: sample, train, evaluate. What needs torch is imported by the command that needs it."""

import dataclasses
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from model_training.errors import TrainingError
from model_training.paper.cell import PAPER
from model_training.recipe import RECIPE, Recipe
from model_training.sample.catalogue import draw_catalogue
from service.bundle.errors import BundleError
from service.bundle.feed import FeedError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Train Kembar's encoders and thresholds, and draw sample catalogues."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("faiss").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what is half done is taken away


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


_CACHE = click.option(
    "--cache", type=click.Path(path_type=Path), default=Path(".cache/train"), help="Pictures, features, checkpoints."
)


_FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))
_PAPER_FIELDS = ("picture_backbone", "picture_weights", "title_backbone", "image_size", "max_tokens", "epochs", "seed")


def _recipe_options(defaults: Recipe, *names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One option per field of `Recipe`, so that the two cannot part; click refuses what the field would."""

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        told = RECIPE.json_schema()["properties"]
        for field in (field for field in reversed(dataclasses.fields(Recipe)) if field.name in names):
            known, kind = told[field.name], type(field.default)
            limits: click.ParamType[Any] = click.STRING
            if issubclass(kind, StrEnum):
                limits = click.Choice([member.value for member in kind])
            elif kind is int:
                limits = click.IntRange(known["minimum"], known.get("maximum"))
            elif kind is float:
                least = known.get("minimum", known.get("exclusiveMinimum"))
                limits = click.FloatRange(least, known.get("maximum"), min_open="exclusiveMinimum" in known)
            flag, default = f"--{field.name.replace('_', '-')}", str(getattr(defaults, field.name))
            command = click.option(flag, type=limits, default=default, help=known["description"])(command)
        return command

    return with_options


@main.command()
@_CSV
@_IMAGES
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Bundle to write; must not exist yet.")
@_CACHE
@click.option("--save-backbone", type=click.Path(path_type=Path), help="Also write the picture backbone, float16.")
@click.option(
    "--notes", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Markdown for the model card."
)
@_recipe_options(Recipe(), *_FIELDS)
def train(
    csv: Path,
    images: Path,
    out: Path,
    cache: Path,
    save_backbone: Path | None,
    notes: Path | None,
    **options: str | float,
) -> None:
    """Train a bundle from CSV (posting_id, image, title, label_group).

    Example: kembar-train train shop/postings.csv --images shop/images --out bundles/mine
    """
    with _explained():
        from model_training import train as training

        words = "" if notes is None else notes.read_text(encoding="utf-8")
        recipe = RECIPE.validate_python(options)
        table = training.train(csv, images, out, recipe, cache, save_backbone=save_backbone, notes=words)
    click.echo(f"{table}\n\nbundle written to {out}")


@main.command()
@_CSV
@_IMAGES
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the report.")
@_CACHE
@click.option("--seeds", type=click.IntRange(1), default=3, help="Runs of each loss in the comparison of losses.")
@_recipe_options(PAPER, *_PAPER_FIELDS)
def paper(csv: Path, images: Path, out: Path, cache: Path, seeds: int, **options: str | float) -> None:
    """Run the whole grid of the paper on CSV and write its tables and figures.

    Both networks over views, margins and negatives, learning rates and batches, hard negatives; then four losses on the
    learner that bundles ship. Broken off, the same command goes on with the next run.

    Example: kembar-train paper shop/postings.csv --images shop/images --out reports/paper
    """
    with _explained():
        from model_training.paper.report import reproduce

        path = reproduce(csv, images, out, RECIPE.validate_python(options), cache, seeds=seeds)
    click.echo(f"report written to {path}")


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_CSV
@_IMAGES
@_CACHE
def evaluate(bundle: Path, csv: Path, images: Path, cache: Path) -> None:
    """Print the four F1s of BUNDLE on CSV: every posting queries all the others.

    Example: kembar-train evaluate bundles/mine shop/postings.csv --images shop/images
    """
    with _explained():
        from model_training.evaluate import evaluate_bundle, render_table

        table = render_table(evaluate_bundle(bundle, csv, images, cache))
    click.echo(table)


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_CSV
@_IMAGES
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="HTML file to write.")
@_CACHE
def report(bundle: Path, csv: Path, images: Path, out: Path, cache: Path) -> None:
    """Write one HTML file about BUNDLE on CSV: what each part is worth, thresholds, calibration, the worst mistakes.

    On the catalogue that the bundle was trained on, its test part asks; on another, every posting.

    Example: kembar-train report bundles/mine shop/postings.csv --images shop/images --out report.html
    """
    with _explained():
        from model_training.report.page import write_report

        write_report(bundle, csv, images, out, cache)
    click.echo(f"report written to {out}")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an error that a person can mend into one line and exit code 1."""
    try:
        yield
    except (TrainingError, FeedError, BundleError) as exc:
        raise SystemExit(f"kembar-train: {exc}") from exc
    except ValidationError as exc:
        wrong = exc.errors()[0]
        flag = f"--{wrong['loc'][-1]}".replace("_", "-")
        raise SystemExit(f"kembar-train: {flag}: {wrong['msg']}, got {wrong['input']}") from exc
    except KeyboardInterrupt as exc:
        click.echo("kembar-train: stopped; the same command goes on from the last checkpoint", err=True)
        raise SystemExit(130) from exc
    except OSError as exc:
        raise SystemExit(f"kembar-train: {exc}; make room or choose another place") from exc
    except ModuleNotFoundError as exc:
        raise SystemExit(f"kembar-train: the package {exc.name} is not installed; run `make setup`") from exc
