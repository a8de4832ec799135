"""MODEL_CARD.md: what a bundle was made from, how well it does, and what it must not be used for."""

from pathlib import Path

from service.bundle.manifest import Manifest
from service.bundle.views import Goal

_LIMITS = """\
- The thresholds were learned at the gallery size above; they rise with the catalogue by what the table says, which is
  measured over one power of ten and followed for two more.
- Variants (size, colour, flavour) of one product line may look and read alike; whether they are one product was
  decided by the labels above.
- Figures come from the test part of the data above and hold for catalogues like it. Measure your own with
  `kembar-train evaluate`.
"""


def write_model_card(directory: Path, manifest: Manifest, table: str, notes: str) -> None:
    """Write the card from what the manifest holds; `table` is the Markdown table of test figures,
    `notes` what the trainer has to say."""
    thresholds = [
        f"| {views} | {goal} | {learned.score:.4f} | {learned.low:.4f} to {learned.high:.4f} | {learned.groups} | "
        f"{learned.per_tenfold:.4f} | {'yes' if learned.supported else 'no'} |"
        for views, decision in sorted(manifest.decisions.items())
        for goal in Goal
        for learned in [decision.thresholds[goal]]
    ]
    lines = [
        "# Model card",
        "",
        *([notes.strip(), ""] if notes else []),
        f"Encoder id `{manifest.encoder_id}`.",
        "",
        "## Data and recipe",
        "",
        *(f"- {name}: {text}" for name, text in sorted(manifest.provenance.items())),
        f"- fusion weights: {', '.join(f'{view} {weight:.2f}' for view, weight in sorted(manifest.weights.items()))}",
        f"- gallery size at fitting: {manifest.gallery_size} postings",
        "",
        "## Figures on test, at the learned `balanced` threshold",
        "",
        table,
        "",
        "Answering only the query itself already scores the first row.",
        "",
        "## Thresholds",
        "",
        "| views | goal | threshold | 95 % interval | groups | higher in a tenfold gallery | supported |",
        "|---|---|---|---|---|---|---|",
        *thresholds,
        "",
        "## Encoders",
        "",
        *(
            f"- {view}: {spec.precision}, {spec.dimension} dimensions"
            for view, spec in sorted(manifest.encoders.items())
        ),
        *(f"- {name}: {value}" for name, value in sorted(manifest.metrics["encoders"].items())),
        "",
        "## Limits",
        "",
        _LIMITS,
    ]
    (directory / "MODEL_CARD.md").write_text("\n".join(lines), encoding="utf-8")
