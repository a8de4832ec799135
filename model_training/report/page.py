"""`kembar-train report`: one self-contained HTML file."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from model_training.evaluate import HEADER, Row, cells_of, needed
from model_training.ranking import sweep
from model_training.report import figures
from model_training.report.ablation import ablate
from model_training.report.evidence import Evidence, gather
from model_training.report.galleries import false_matches, gallery, misses
from service.bundle.views import Goal

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; display: block; }
table { overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #8884; text-align: right; overflow-wrap: anywhere; }
th:first-child, td:first-child, td:nth-child(2):last-child { text-align: left; }
img.plot { max-width: 100%; background: white; border-radius: 6px; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; margin: 0; padding: .6rem; }
.pair { border: 1px solid #8884; border-radius: 8px; }
.pair img { width: 100%; border-radius: 4px; }
.pair p { margin: .2rem 0; font-size: .85rem; }
.pair code { font-size: .7rem; overflow-wrap: anywhere; }
.pair figcaption { grid-column: 1 / 3; font-size: .8rem; opacity: .8; }
"""


def write_report(bundle: Path, csv: Path, images: Path, out: Path, cache: Path) -> None:
    """
    Measure a bundle on a catalogue and write the report, whole or not at all.

    Raises:
        TrainingError, FeedError, BundleError.
    """
    evidence = gather(bundle, csv, images, cache)
    rows = list(ablate(evidence, cache))
    fresh = out.with_name(out.name + ".new")
    fresh.write_text(_page(evidence, rows, bundle.name, csv.name), encoding="utf-8")
    os.replace(fresh, out)


def _page(evidence: Evidence, rows: Sequence[Row], bundle: str, csv: str) -> str:
    curve, errors = figures.calibration(evidence)
    whom = (
        f"The {len(evidence.queries):,} postings of the test part ask; training saw none of them."
        if evidence.is_own
        else f"All {len(evidence.queries):,} postings ask. The bundle was trained on other data, or on some of these: "
        "its provenance says which. Thresholds of the ablation are the best in hindsight."
    )
    parts = [
        f"<h1>{escape(bundle)} on {escape(csv)}</h1><p>{whom} The gallery is the whole catalogue.</p>",
        "<h2>The data</h2>" + _data(evidence),
        "<h2>What each part is worth</h2><p>Threshold learned on validation, figures on the queries. Never compare one "
        "F1 with another: f1_mean counts the query itself, f1_mean_others leaves it out.</p>"
        + _table(HEADER, (cells_of(row) for row in rows)),
        "<h2>Thresholds</h2>" + _thresholds(evidence) + _plot(figures.threshold_curves(evidence)),
        "<h2>How near is near</h2>" + _plot(figures.similarities(evidence)) + _plot(figures.recall_at_k(evidence)),
        "<h2>Group size and gallery size</h2>" + _plot(figures.by_size(evidence)),
        "<h2>Queries without a match</h2><p>Share of the queries that would get an answer if their product had no "
        "other posting.</p>" + _singletons(evidence),
        "<h2>Calibration</h2>"
        + _plot(curve)
        + _table(
            ["view set", "ECE", "Brier"], ([key, f"{ece:.4f}", f"{brier:.4f}"] for key, (ece, brier) in errors.items())
        ),
        "<h2>Learning</h2>" + _plot(figures.learning(evidence)),
        "<h2>Products apart</h2>" + _plot(figures.groups_apart(evidence)),
        f'<h2>The worst false matches</h2><div class="pairs">{gallery(evidence, false_matches(evidence))}</div>',
        f'<h2>The worst misses</h2><div class="pairs">{gallery(evidence, misses(evidence))}</div>',
        "<h2>Cost and provenance</h2>" + _provenance(evidence),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(bundle)}: report</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{''.join(f'<section>{part}</section>' for part in parts)}</body></html>\n"
    )


def _data(evidence: Evidence) -> str:
    catalogue = evidence.material.catalogue
    sizes, split = np.bincount(catalogue.groups), evidence.material.split
    pictures = Counter(digest for digest in catalogue.digests if digest is not None)
    titles = Counter(title for title in catalogue.titles if title is not None)
    parts = ((len(split.train), "train"), (len(split.validation), "validation"), (len(split.test), "test"))
    spans = ((1, 1), (2, 2), (3, 5), (6, 9), (10, int(sizes.max())))
    groups = ((int(((sizes >= low) & (sizes <= high)).sum()), f"of {low} to {high} postings") for low, high in spans)
    facts = [
        ("postings, split by super-component", parts),
        ("groups", groups),
        ("pictures", (*_repeats(pictures), (len(catalogue) - pictures.total(), "postings have none"))),
        ("titles", (*_repeats(titles), (len(catalogue) - titles.total(), "postings have none"))),
        ("letters", ((sum(not title.isascii() for title in titles), "titles hold more than ASCII"),)),
    ]
    return _table(["", ""], ((name, ", ".join(f"{n:,} {what}" for n, what in counts)) for name, counts in facts))


def _repeats(found: Counter[str]) -> tuple[tuple[int, str], ...]:
    return (len(found), "different"), (sum(n for n in found.values() if n > 1), "postings share theirs")


def _thresholds(evidence: Evidence) -> str:
    return _table(
        ["view set", "goal", "score", "95 % interval", "groups", "per tenfold gallery", "supported"],
        (
            [key, goal.value, f"{learned.score:.4f}", f"{learned.low:.4f} to {learned.high:.4f}", str(learned.groups),
             f"{learned.per_tenfold:.4f}",
             "yes" if learned.supported else "no"]
            for key, decision in evidence.bundle.manifest.decisions.items()
            for goal, learned in decision.thresholds.items()
        ),
    )  # fmt: skip


def _singletons(evidence: Evidence) -> str:
    lines = []
    for key, ranking in evidence.rankings.items():
        shares = []
        for goal in Goal:
            threshold = np.array([needed(evidence.bundle.manifest, key, goal, len(evidence.material.catalogue))])
            seen = ranking.first() if goal is Goal.RECALL_90 else ranking.agreeing().first()
            shares.append(f"{float((sweep(seen, threshold).alone > 0).mean()):.1%}")
        lines.append([key, *shares])
    return _table(["view set", *(goal.value for goal in Goal)], lines)


def _provenance(evidence: Evidence) -> str:
    manifest, folder = evidence.bundle.manifest, evidence.bundle.path
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    weights = ", ".join(f"{view} {weight:.3f}" for view, weight in manifest.weights.items())
    speed = len(evidence.material.catalogue) / max(evidence.encode_s, 1e-9)
    facts = [
        ("encoding", f"{speed:,.0f} postings a second, each picture and title once"),
        ("bundle", f"{size:.1f} MB, {evidence.bundle.fingerprint}"),
        ("fusion weights", weights),
        ("measured", ", ".join(f"{name} {value}" for name, value in manifest.metrics.get("encoders", {}).items())),
        *sorted(manifest.provenance.items()),
    ]
    return _table(["", ""], facts)


def _plot(address: str) -> str:
    return f'<p><img class="plot" alt="" src="{address}"></p>'


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
