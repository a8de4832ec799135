"""`kembar-train paper`: run the whole grid and write REPORT.md with the paper's tables and figures."""

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from huggingface_hub.constants import HF_HUB_CACHE

from model_training.paper.backbones import choose_backbones
from model_training.paper.cell import BOTH, Cell, Network, loss_grid, paper_grid
from model_training.paper.figures import draw_figures
from model_training.paper.run import drawn_vectors, neighbours_agree, run_cells
from model_training.paper.study import Study, open_study
from model_training.paper.tables import hardest_beside_random, loss_table, pair_table, plain, rate_table, search_table
from model_training.recipe import Recipe

logger = logging.getLogger(__name__)


def reproduce(csv: Path, images: Path, out: Path, recipe: Recipe, cache: Path, *, seeds: int) -> Path:
    """
    Run every cell of the grid on a catalogue and write the report; broken off, it goes on with the next cell.

    Args:
        out: gets REPORT.md, the figures and `cells/`.
        recipe: names backbones (see `choose_backbones`), picture size, epochs and seed; the rest of it is the grid's.
        seeds: how many of each loss of the comparison.

    Returns:
        The report's path.
    """
    recipe, lacking = choose_backbones(recipe, Path(torch.hub.get_dir(), "checkpoints"), Path(HF_HUB_CACHE))
    for line in lacking:
        logger.warning("%s", line)
    study = open_study(csv, images, recipe, cache)
    cells = [*paper_grid(recipe.epochs), *loss_grid(recipe.epochs, seeds)]
    results = run_cells(study, cells, out / "cells")
    figures = draw_figures(study, results, out / "cells", out)
    agree = neighbours_agree(drawn_vectors(study, Cell(Network.FROZEN, BOTH, epochs=0), out / "cells")["validation"])
    sections = [
        "# The paper's systems on this catalogue",
        _provenance(study, lacking),
        "## Table 2: network A, pairs of validation postings, judged at a logit of 0",
        pair_table(results, Network.PAIRS),
        "## Table 3: network B, the same pairs, judged at cosine > margin",
        pair_table(results, Network.EMBEDDING),
        "## Table 4: nearest neighbours, threshold swept on train for f1_harmonic and carried to validation",
        search_table(study, plain(results)),
        f"FAISS and scikit-learn {'find the same neighbours' if agree else 'DISAGREE: this is a bug'}.",
        "## Learning rate and batch (network B, both views, margin 0.5, one negative)",
        rate_table(results),
        "## Random against hardest negatives (network B, margin 0.5)",
        search_table(study, hardest_beside_random(results)),
        "## Which loss should train the learner that bundles ship?",
        loss_table(results),
        "## Figures",
        *(f"![{caption}]({name})\n\n*{caption}*" for name, caption in figures.items()),
    ]
    path = out / "REPORT.md"
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _provenance(study: Study, lacking: Iterable[str]) -> str:
    facts = (f"{name}: {text}" for name, text in study.provenance.items())
    said = "The paper's backbones are ResNet18 and BERT; with others its figures are not to be expected."
    return "\n".join([said, "", *(f"- {line}" for line in (*lacking, *facts))])
